"""Promise: what is known of a phantom is found again in its row."""

import numpy as np
import pyarrow.dataset as pads
import pydicom
import pytest

from conftest import run


def rows_of(out):
    rows = pads.dataset(out / "data", format="parquet").to_table().to_pylist()
    return {row["sop_instance_uid"]: row for row in rows}


@pytest.fixture(scope="module")
def measured(tilt_archive, tmp_path_factory):
    """(truth, row) of each of the 200 slices, recipe `head`."""
    out = tmp_path_factory.mktemp("measured") / "out"
    run("convert", tilt_archive.folder, "--out", out, "--set", "privacy=uids")
    rows = rows_of(out)
    return [(truth, rows[truth["sop_instance_uid"]]) for truth in tilt_archive.truth["files"]]


def test_tilt(measured):
    errors = np.array([row["tilt_angle_deg"] - truth["tilt_deg"] for truth, row in measured])
    assert all(row["tilt_applied"] for _, row in measured)
    assert np.median(np.abs(errors)) <= 0.05, np.median(np.abs(errors))
    assert np.abs(errors).max() <= 0.3, np.abs(errors).max()


def test_bounding_box(measured):
    names = ["bbox_top", "bbox_left", "bbox_bottom", "bbox_right"]
    found = np.array([[row[name] for name in names] for _, row in measured], float)
    want = np.array([truth["upright_box_px"] for truth, _ in measured])
    assert np.abs(found - want).max() <= 2.0, np.abs(found - want).max(axis=0)


def test_ellipse_centre(measured):
    for truth, row in measured:
        assert abs(row["ellipse_center_row_px"] - truth["center_row_px"]) < 0.2
        assert abs(row["ellipse_center_column_px"] - truth["center_column_px"]) < 0.2


def test_the_holder_is_gone(measured, tilt_archive):
    """All over the holder's arc, where the tensor reaches that far, there is background."""
    heads = {head["head"]: head["holder"] for head in tilt_archive.truth["heads"]}
    reached = 0
    for truth, row in measured:
        holder = heads[truth["head"]]
        image = np.frombuffer(row["image"], np.uint8).reshape(row["image_shape"])[0]
        map_ = np.array(row["source_to_image"]).reshape(2, 3)
        angle = np.radians(np.linspace(-holder["half_arc_deg"], holder["half_arc_deg"], 400))
        radius = 0.5 * (holder["inner_radius_px"] + holder["outer_radius_px"])
        column = holder["center_column_px"] + radius * np.sin(angle)
        line = holder["center_row_px"] + radius * np.cos(angle)
        x, y = np.rint(map_ @ np.stack([column, line, np.ones_like(line)])).astype(int)
        inside = (x >= 0) & (y >= 0) & (x < image.shape[1]) & (y < image.shape[0])
        reached += inside.sum()
        assert image[y[inside], x[inside]].max(initial=0) == 0
    assert reached > 0


def test_a_bleed_is_bright_at_its_place_in_the_tensor(measured):
    seen = 0
    for truth, row in measured:
        if not truth["bleed"]:
            continue
        line, column, _ = truth["bleed_place_px"]
        image = np.frombuffer(row["image"], np.uint8).reshape(row["image_shape"])[0]
        x, y = np.rint(np.array(row["source_to_image"]).reshape(2, 3) @ [column, line, 1]).astype(int)
        assert image[y - 1 : y + 2, x - 1 : x + 2].mean() > 255 * 50 / 80
        seen += 1
    assert seen > 0


def test_with_every_step_off_the_tensor_is_the_sources_hu(small_archive, tmp_path):
    """Recipe `head-hu`, all off: exactly the HU that pydicom reads; padding and below become -1024."""
    off = [text for key in ("denoise.enabled", "tilt.enabled", "crop_pad.crop") for text in ("--set", f"{key}=false")]
    run("convert", small_archive.folder, "--out", tmp_path / "o", "--recipe", "head-hu", "--set", "privacy=uids", *off)
    rows = rows_of(tmp_path / "o")
    assert len(rows) == len(small_archive.truth["files"])
    for truth in small_archive.truth["files"]:
        dataset = pydicom.dcmread(small_archive.folder / truth["path"])
        stored = dataset.pixel_array.astype(int)
        hu = stored * int(dataset.RescaleSlope) + int(dataset.RescaleIntercept)
        hu[(stored == dataset.PixelPaddingValue) | (hu < -1024)] = -1024
        image = np.frombuffer(rows[truth["sop_instance_uid"]]["image"], "<i2").reshape(512, 512)
        assert np.array_equal(image, hu)
