"""Where a loaded table keeps the names of the columns that are no inputs (`DataFrame.attrs`)."""

KEPT = "skosfusion: kept columns"
