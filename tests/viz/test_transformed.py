"""Where spatial transformers read: outlines and marks at their places, outputs, titles."""

import io

import numpy as np
import pytest
from PIL import Image

from attn_jax import viz
from attn_jax.viz import sampling_grid
from tests.source_checks import refuses
from tests.viz.sampling_grids import HALF, IDENTITY, ONE, bent, box, case, grid, projective


def drawn(one, **options):
    return viz.transformed(one.images, one.grids, one.views, **options)


def lines(axes, kind):
    return [line.get_xydata() for line in axes.lines if line.get_gid() == kind]


def pixels(figure, dpi=100):
    data = Image.open(io.BytesIO(viz.to_png(figure, dpi=dpi)))
    return np.asarray(data.convert("RGB")).astype(int)


@pytest.mark.parametrize(("n", "count"), [(1, 1), (3, 2)])
def test_a_row_has_the_input_with_an_outline_a_transformer_and_the_outputs(n, count):
    one = case(np.tile(grid(HALF), (n, count, 1, 1, 1)))
    figure = drawn(one)
    assert len(figure.axes) == n * (1 + count)
    for i, axes in enumerate(figure.axes[:: 1 + count]):
        for kind in ("outline", "first row", "first corner"):
            assert len(lines(axes, kind)) == count
        assert lines(axes, "mesh") == []
        np.testing.assert_allclose(axes.images[0].get_array()[..., :1], one.images[i], rtol=1e-6)
        for p in range(count):
            view = figure.axes[i * (1 + count) + 1 + p]
            np.testing.assert_allclose(
                view.images[0].get_array()[..., :1], one.views[i, p], rtol=1e-6
            )
            assert len(lines(view, "first corner")) == 1


def test_the_outline_goes_around_the_places_that_are_read():
    # Outer places are at ±3/4: of 12 columns x = 0.25 ± 0.375, of 8 rows y = -0.25 ± 0.375.
    axes = drawn(case([[grid(HALF)]], height=8, width=12)).axes[0]
    (outline,), (first,), (corner,) = (
        lines(axes, kind) for kind in ("outline", "first row", "first corner")
    )
    left, right, top, bottom = 4.75, 9.25, 1.0, 4.0
    np.testing.assert_allclose(outline[[0, 3, 6, 9]],
        [[left, top], [right, top], [right, bottom], [left, bottom]])  # fmt: skip
    np.testing.assert_allclose(outline[-1], outline[0])
    assert len(outline) == 4 * 3 + 1
    np.testing.assert_allclose(first[[0, -1]], [[left, top], [right, top]])
    np.testing.assert_allclose(corner, [[left, top]])


@pytest.mark.parametrize(
    ("theta", "start", "end"),
    [
        (IDENTITY, (0.5, 0.5), (6.5, 0.5)),
        ([[-1, 0, 0], [0, 1, 0]], (6.5, 0.5), (0.5, 0.5)),  # mirrored
        ([[0, -1, 0], [1, 0, 0]], (6.5, 0.5), (6.5, 6.5)),  # a quarter turn
    ],
)
def test_a_turn_and_a_mirroring_have_different_first_rows(theta, start, end):
    axes = drawn(case([[grid(theta)]])).axes[0]
    np.testing.assert_allclose(lines(axes, "first row")[0][[0, -1]], [start, end], atol=1e-12)
    np.testing.assert_allclose(lines(axes, "first corner")[0], [start], atol=1e-12)


def test_only_a_grid_that_is_not_affine_has_a_mesh():
    shear = [[0.7, 0.4, 0.1], [-0.3, 0.9, 0]]
    tilted = projective([[1, 0, 0], [0, 1, 0], [0, 0.4, 1]])
    grids = np.stack([grid(shear, (8, 8)), bent(), tilted, grid(shear, (8, 8)) * 1e-4])[None]
    axes = drawn(case(grids.astype(np.float32))).axes[0]
    mesh = [line for line in axes.lines if line.get_gid() == "mesh"]
    assert {line.get_color() for line in mesh} == {sampling_grid.colour_of(p) for p in (1, 2)}
    assert len(mesh) == 2 * 2 * 5
    middle = (grids[0, 1, 1] + 1) * 4 - 0.5  # the second row is the first of the mesh
    np.testing.assert_allclose(mesh[0].get_xydata(), middle, atol=1e-5)


def test_a_small_grid_has_no_line_twice():
    assert [len(sampling_grid._mesh(np.zeros((*n, 2)))) for n in ((3, 2), (1, 1), (9, 4))] == [
        1,
        0,
        5 + 2,
    ]


@pytest.mark.parametrize("size", [(1, 1), (1, 5), (5, 1), (2, 2)])
def test_grids_of_few_places_are_drawn(size):
    figure = drawn(case([[grid(HALF, size)]]))
    assert len(lines(figure.axes[0], "outline")) == 1
    viz.to_png(figure, dpi=40)


@pytest.mark.parametrize(
    ("scale", "widest"), [(0.5, 1.1), (1.0, 1.1), (1.6, 1.06 * 1.2), (9.0, 1.6)]
)
def test_the_surroundings_are_shown_as_far_as_outlines_go(scale, widest):
    axes = drawn(case([[scale * grid(IDENTITY)]], height=6, width=10)).axes[0]
    np.testing.assert_allclose(axes.get_xlim(), 4.5 + 5 * widest * np.array([-1, 1]))
    np.testing.assert_allclose(axes.get_ylim(), 2.5 + 3 * widest * np.array([1, -1]))


def test_the_image_has_the_same_place_and_size_in_all_rows():
    figure = drawn(case([[grid(IDENTITY)], [2 * grid(IDENTITY)]]))
    first, second = figure.axes[::2]
    assert first.get_xlim() == second.get_xlim()
    np.testing.assert_allclose(first.get_position().size, second.get_position().size)


def test_pixels_are_the_colour_of_the_transformer_where_it_reads():
    one = case([[grid([[0.5, 0, 0], [0, 0.5, 0]])], [grid(IDENTITY)]], height=9, width=9)
    one.images[:], one.views[:] = 0, 1
    figure = drawn(one)
    axes, seen = figure.axes[0], pixels(figure)
    colour = np.array([0xE6, 0x9F, 0x00])

    def at(column, row):
        x, y = axes.transData.transform((column, row)) / figure.dpi * 100
        return seen[int(len(seen) - y), int(x)]

    # Outer places are at ±3/8: columns and rows 4 ± 4.5 * 3/8.
    low, high = 4 - 1.6875, 4 + 1.6875
    for place in ((4, low), (4, high), (low, 4), (high, 4), (low, low)):
        assert np.abs(at(*place) - colour).max() < 60
    for place in ((4, 4), (1, 4), (4, 7)):
        assert (at(*place) == 0).all()
    assert (at(4, -0.7) > 200).all()  # outside the image


def test_places_that_are_not_finite_are_left_out():
    holes = bent()
    holes[0, 0], holes[3, -1], holes[-1, 2] = np.inf, np.nan, 1e30
    figure = drawn(case([[holes]]))
    axes = figure.axes[0]
    assert lines(axes, "first corner") == []
    (outline,) = lines(axes, "outline")
    assert np.isnan(outline[[0, 10, -1]]).all()
    assert np.isnan(outline).any(-1).sum() == 4  # the first corner begins and ends the outline
    viz.to_png(figure, dpi=40)


def test_nothing_finite_draws_the_image_alone():
    figure = drawn(case([[np.full((4, 4, 2), np.inf)]]))
    assert all(np.isnan(line).all() for line in lines(figure.axes[0], "outline"))
    assert figure.axes[0].get_xlim()[1] == pytest.approx(3.5 + 4 * 1.1)
    viz.to_png(figure, dpi=40)


def test_no_line_crosses_a_horizon():
    across = projective([[1, 0, 0], [0, 1, 0], [0, 1.6, 1]])
    y = across[:, 0, 1]
    assert y.max() > 2 and y.min() < -2  # neighbours on its two sides
    for line in drawn(case([[across]])).axes[0].lines:
        steps = np.abs(np.diff(line.get_xydata(), axis=0))
        assert not (steps > 4 * 4).any()  # 8 pixels are two coordinates


def test_a_large_affine_grid_has_all_its_sides():
    (outline,) = lines(drawn(case([[20 * grid(IDENTITY, (2, 2))]])).axes[0], "outline")
    assert np.isfinite(outline).all()


def test_a_volume_is_shown_along_its_depth_with_the_edges_of_its_box():
    theta = [[1, 0, 0.3, 0], [0, 1, 0, 0], [0, 0, 1, 0]]
    rng = np.random.default_rng(0)
    volumes, views = rng.uniform(size=(1, 5, 8, 8, 1)), rng.uniform(size=(1, 1, 3, 4, 4, 1))
    figure = viz.transformed(volumes, box(theta)[None, None], views)
    axes, view = figure.axes
    np.testing.assert_allclose(axes.images[0].get_array()[..., :1], volumes[0].max(0), rtol=1e-6)
    np.testing.assert_allclose(view.images[0].get_array()[..., :1], views[0, 0].max(0), rtol=1e-6)
    (front,), edges = lines(axes, "outline"), lines(axes, "edge")
    back = edges[0]
    # The front's places are at z = -2/3, the back's at 2/3, both shifted by 0.3 z.
    np.testing.assert_allclose(front[0], [(-0.75 - 0.2 + 1) * 4 - 0.5, 0.5])
    np.testing.assert_allclose(back[0], [(-0.75 + 0.2 + 1) * 4 - 0.5, 0.5])
    ends = {tuple(np.round(point, 6)) for line in edges[1:] for point in line[[0, -1]]}
    corners = {tuple(np.round(line[k], 6)) for line in (front, back) for k in (0, 3, 6, 9)}
    assert (len(edges), ends) == (1 + 4, corners)
    viz.to_png(figure, dpi=40)


def test_titles_are_plain_text_and_columns_have_heads():
    one = case(np.tile(grid(HALF), (2, 2, 1, 1, 1)))
    texts = [text.get_text() for text in drawn(one, titles=["$5", "b"]).texts]
    assert texts[:5] == ["where they read", "what 1 reads", "what 2 reads", r"\$5", "b"]
    assert len(drawn(one).texts) == 4


@pytest.mark.parametrize(("height", "width", "channels"), [(8, 8, 1), (6, 30, 3), (30, 6, 2)])
def test_nothing_is_drawn_outside_the_figure(height, width, channels):
    one = case([[3 * grid(IDENTITY), bent(4)]], height, width, channels)
    seen = pixels(drawn(one, titles=["a"]))
    assert all((edge == 255).all() for edge in (seen[0], seen[-1], seen[:, 0], seen[:, -1]))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"images": np.ones((2, 8, 8))}, r"images must have shape \[N, H, W, C\].*\[2, 8, 8\]"),
        ({"grids": ONE.grids[0]}, r"grids must have shape \[N=2, P, h, w, 2\].*\[1, 4, 4, 2\]"),
        ({"grids": ONE.grids[:1]}, r"grids must have shape \[N=2, P.*got \[1, 1, 4, 4, 2\]"),
        ({"views": ONE.views[:, :, 1:]}, r"views must .*P=1, h=4, w=4, C=1.*\[2, 1, 3, 4, 1\]"),
        ({"images": np.ones((2, 3, 8, 8, 1))}, r"grids must .*P, d, h, w, 3\].*\[2, 1, 4, 4, 2\]"),
        ({"titles": ["a"]}, "titles must be 2, one for each image; got 1"),
    ],
)
def test_bad_shapes_are_named(changed, message):
    given = {**vars(ONE), **changed}
    with refuses(message):
        viz.transformed(**given)
