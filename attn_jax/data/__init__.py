"""Data sets in memory and on disk, tasks made of them, and the order in which they are seen."""

from attn_jax.data.dates import DateSource, Sequences, load_dates
from attn_jax.data.digits import centered, cluttered, from_uint8, paste, translated
from attn_jax.data.distortions import bent, projected, rotated, rotated_scaled_translated
from attn_jax.data.generators import TASKS, compose_split, label_split, make_generator, make_labels
from attn_jax.data.order import batch_ids, bucketed_ids, shard_batch
from attn_jax.data.pictures import ASPECTS, Preparation, PreparedPicture, prepare_picture
from attn_jax.data.record_format import ArraySpec
from attn_jax.data.record_writer import write_records
from attn_jax.data.scenes import (
    colocalised,
    colocalised_box,
    rotated_scaled_cluttered,
    sequence,
)
from attn_jax.data.sources import (
    SOURCES,
    Images,
    Source,
    StreamedSource,
    check_images,
    digest,
    load_source,
    open_stream,
    with_classes,
    write_images,
)
from attn_jax.data.streams import Records
from attn_jax.data.sums import summed
from attn_jax.data.volumes import extruded

__all__ = [
    "ASPECTS",
    "SOURCES",
    "TASKS",
    "ArraySpec",
    "DateSource",
    "Images",
    "Preparation",
    "PreparedPicture",
    "Records",
    "Sequences",
    "Source",
    "StreamedSource",
    "batch_ids",
    "bent",
    "bucketed_ids",
    "centered",
    "check_images",
    "cluttered",
    "colocalised",
    "colocalised_box",
    "compose_split",
    "digest",
    "extruded",
    "from_uint8",
    "label_split",
    "load_dates",
    "load_source",
    "make_generator",
    "make_labels",
    "open_stream",
    "paste",
    "prepare_picture",
    "projected",
    "rotated",
    "rotated_scaled_cluttered",
    "rotated_scaled_translated",
    "sequence",
    "shard_batch",
    "summed",
    "translated",
    "with_classes",
    "write_images",
    "write_records",
]
