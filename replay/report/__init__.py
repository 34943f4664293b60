"""Reports: an outcome as a table, JSON, TSV, Markdown or a page. They read results only."""
