import pytest


@pytest.fixture
def put(tmp_path):
    """Write bytes to a file and return its path."""

    def write(data, name="image.png"):
        path = tmp_path / name
        path.write_bytes(data)
        return path

    return write
