"""What results and figures depend on: the machine and the versions."""

from skosfusion.cli import machine_facts as facts
from skosfusion.cli import multiplies_bf16, versions

__all__ = ["facts", "multiplies_bf16", "versions"]
