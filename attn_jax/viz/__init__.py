"""Pictures of a run and the report page: functions from numpy arrays to figures and bytes."""

from attn_jax.viz.alignment_map import Alignment, alignment
from attn_jax.viz.animation import rollout_gif
from attn_jax.viz.attention_map import attention
from attn_jax.viz.confusion_matrix import confusion
from attn_jax.viz.curves import learning_curves
from attn_jax.viz.diagram import recurrence
from attn_jax.viz.draw import channels_shown, patch_sizes, to_pixels, to_png
from attn_jax.viz.forest_plot import Column, forest
from attn_jax.viz.growth import Growth, scaling
from attn_jax.viz.mechanisms import MechanismPicture, mechanism_table
from attn_jax.viz.paths import glimpse_paths
from attn_jax.viz.report import Picture, Section, Table, render_report
from attn_jax.viz.samples import location_samples, weight_bars
from attn_jax.viz.steps import error_by_glimpse
from attn_jax.viz.strips import Strip, side_by_side
from attn_jax.viz.transform_figures import transform_curves
from attn_jax.viz.transformed_views import transformed, transforms_gif

__all__ = [
    "Alignment",
    "Column",
    "Growth",
    "MechanismPicture",
    "Picture",
    "Section",
    "Strip",
    "Table",
    "alignment",
    "attention",
    "channels_shown",
    "confusion",
    "error_by_glimpse",
    "forest",
    "glimpse_paths",
    "learning_curves",
    "location_samples",
    "mechanism_table",
    "patch_sizes",
    "recurrence",
    "render_report",
    "rollout_gif",
    "scaling",
    "side_by_side",
    "to_pixels",
    "to_png",
    "transform_curves",
    "transformed",
    "transforms_gif",
    "weight_bars",
]
