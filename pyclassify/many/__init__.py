"""Many inputs at once: files and tables -> answers in a spool -> a table, CSV or JSON; the memory stays the same."""

from pyclassify.many.asking import predict_each
from pyclassify.many.reading import TABLES, Source, Upload, sources
from pyclassify.many.running import PICTURES_PER_BATCH, TEXTS_PER_BATCH, Answer, Progress, run
from pyclassify.many.spool import ALL, LABEL, ORDERS, PROBLEMS, UNKNOWN, UNSURE, Counts, Row, Spool
from pyclassify.many.tables import columns, guess_column
from pyclassify.many.thumbnails import SIDE_PX, thumbnails
from pyclassify.many.writing import as_dict, write_csv, write_json

__all__ = [
    "ALL",
    "LABEL",
    "ORDERS",
    "PICTURES_PER_BATCH",
    "PROBLEMS",
    "SIDE_PX",
    "TABLES",
    "TEXTS_PER_BATCH",
    "UNKNOWN",
    "UNSURE",
    "Answer",
    "Counts",
    "Progress",
    "Row",
    "Source",
    "Spool",
    "Upload",
    "as_dict",
    "columns",
    "guess_column",
    "predict_each",
    "run",
    "sources",
    "thumbnails",
    "write_csv",
    "write_json",
]
