"""Untrusted Parquet files; the only module that needs pyarrow.

A few bytes of Parquet can stand for any number of equal rows, and for gigabytes of equal text. So
text is read as numbers of distinct values, batch by batch, and its length is counted before it is
spread out.
"""

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import parquet

_BATCH_ROWS = 1024

PARQUET_ERRORS = (OSError, ValueError, MemoryError, pa.ArrowException)
"""Errors that pyarrow has been seen to raise on damaged files, and similar ones."""


def read_flat_columns(path, *, max_rows, max_bytes):
    """Return the columns of single values as a DataFrame; lists, structs and bytes are left out."""
    with parquet.ParquetFile(path) as file:
        fields = [field for field in file.schema_arrow if _is_flat(field.type)]
        _check_size(file.metadata.num_rows, "rows", max_rows)
    names = [field.name for field in fields]
    texts = [field.name for field in fields if _is_text(field.type)]
    batches, n_rows, n_bytes = [], 0, 0
    with parquet.ParquetFile(path, read_dictionary=texts) as file:
        for batch in file.iter_batches(_BATCH_ROWS, columns=names):
            n_rows += len(batch)
            n_bytes += sum(map(_spread_bytes, batch.columns))
            _check_size(n_rows, "rows", max_rows)
            _check_size(n_bytes, "bytes", max_bytes)
            columns = [
                column.dictionary_decode() if pa.types.is_dictionary(column.type) else column
                for column in batch.columns
            ]
            batches.append(pa.RecordBatch.from_arrays(columns, names=batch.schema.names))
        schema = batches[0].schema if batches else file.schema_arrow.empty_table().schema
    table = pa.Table.from_batches(batches, schema)
    table.validate(full=True)  # text that is not UTF-8 would fail anywhere later
    # Without what pandas wrote about itself: an index would be taken out, and damage there harm.
    return table.to_pandas(ignore_metadata=True)


def _check_size(size, noun, limit):
    if size > limit:
        raise ValueError(f"it has {size} {noun}, more than {limit}")


def _is_text(kind):
    kind = _value_type(kind)
    return pa.types.is_string(kind) or pa.types.is_large_string(kind)


def _value_type(kind):
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def _is_flat(kind):
    kind = _value_type(kind)
    is_bytes = pa.types.is_binary(kind) or pa.types.is_fixed_size_binary(kind)
    return not (pa.types.is_nested(kind) or is_bytes or pa.types.is_large_binary(kind))


def _spread_bytes(column):
    """Bytes of a column without its dictionary."""
    if not pa.types.is_dictionary(column.type):
        return column.nbytes
    if not _is_text(column.type):
        return len(column) * column.dictionary.nbytes // max(1, len(column.dictionary))
    lengths = pc.take(pc.binary_length(column.dictionary), column.indices)
    return pc.sum(lengths).as_py() or 0
