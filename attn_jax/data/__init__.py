"""Images from files, tasks made of them on the device, and the order they are seen in."""

from attn_jax.data.dates import DateSource, Sequences, load_dates
from attn_jax.data.digits import centered, cluttered, from_uint8, paste, translated
from attn_jax.data.generators import TASKS, frozen, make_generator
from attn_jax.data.order import batch_ids
from attn_jax.data.sources import SOURCES, Images, Source, check_images, load_source

__all__ = [
    "SOURCES",
    "TASKS",
    "DateSource",
    "Images",
    "Sequences",
    "Source",
    "batch_ids",
    "centered",
    "check_images",
    "cluttered",
    "from_uint8",
    "frozen",
    "load_dates",
    "load_source",
    "make_generator",
    "paste",
    "translated",
]
