"""How originals are opened: a hostile one runs nothing."""

from __future__ import annotations

import io
import os
import pickle

import numpy as np
import pytest
import torch
from lossbench_plugins.weights._originals import Arrays, features, flax_features, tensors


class Calls:
    """A pickle that calls what it likes."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def opened(pickled):
    return Arrays(io.BytesIO(pickled)).load()


def protocol_3(value):
    return pickle.dumps(value, 3).replace(b"numpy._core.multiarray", b"numpy.core.multiarray")


def test_arrays_come_back():
    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    found = opened(protocol_3({"a": {"b": array}, "c": [1, 2.5, None, "x"]}))
    np.testing.assert_array_equal(found["a"]["b"], array, strict=True)
    assert found["c"] == [1, 2.5, None, "x"]


@pytest.mark.parametrize(
    "hostile",
    [
        pickle.dumps(Calls(os.system, "touch hostile")),
        pickle.dumps(Calls(eval, "open('hostile', 'w')")),
        pickle.dumps({"a": [Calls(os.mkdir, "hostile")]}, 3),
        pickle.dumps(Calls(np.save, "hostile", 3)),
        b"cnumpy.core.multiarray\nfromfile\n(S'hostile'\ntR.",
        b"cnumpy.core.multiarray\n_reconstruct.__globals__\n.",
        b"cnumpy\nload\n(S'hostile'\ntR.",
        b"cnumpy.core\nmultiarray\n.",
        b"cnumpy\ndtype.__class__\n.",
        b'c__builtin__\neval\n(S\'open("hostile", "w")\'\ntR.',
        b"(S'touch hostile'\nios\nsystem\n.",
        b"\x80\x02\x8c\x08builtins\x8c\x04eval\x93\x8c\x04open\x85R.",
        b"Phostile\n.",
    ],
)
def test_nothing_else_is_called(hostile, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(pickle.UnpicklingError):
        opened(hostile)
    assert not list(tmp_path.iterdir())


def test_the_message_names_what_was_asked_for():
    with pytest.raises(pickle.UnpicklingError, match=r"it asks for posix.system, which no array needs"):
        opened(pickle.dumps(Calls(os.system, "true")))


def test_a_flax_kernel_becomes_torchs(tmp_path):
    kernel = np.arange(2 * 3 * 4 * 5, dtype=np.float32).reshape(2, 3, 4, 5)  # [H, W, in, out]
    network = {
        "Conv_0": {"kernel": kernel, "bias": np.zeros(5, np.float32)},
        "Conv_1": {"kernel": kernel + 1, "bias": np.ones(5, np.float32)},
    }
    path = tmp_path / "a.ckpt"
    path.write_bytes(protocol_3({"Net_0": network}))
    found = flax_features("Net_0", (0, 3))(path)
    assert {name: tuple(tensor.shape) for name, tensor in found.items()} == {
        "features.0.weight": (5, 4, 2, 3), "features.3.weight": (5, 4, 2, 3), "features.0.bias": (5,), "features.3.bias": (5,),
    }  # fmt: skip
    assert found["features.0.weight"][3, 2, 1, 0] == kernel[1, 0, 2, 3]
    assert found["features.3.weight"][3, 2, 1, 0] == kernel[1, 0, 2, 3] + 1


def test_a_state_of_torchs_is_opened_without_its_counters(tmp_path):
    state = {"features.0.weight": torch.ones(2), "classifier.0.weight": torch.ones(3), "n": torch.tensor(3)}
    torch.save(state, tmp_path / "a.pth")
    assert tensors(tmp_path / "a.pth").keys() == {"features.0.weight", "classifier.0.weight"}
    assert features(tmp_path / "a.pth").keys() == {"features.0.weight"}


def test_code_in_a_state_of_torchs_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"a": Calls(os.mkdir, "hostile")}, "a.pth")
    with pytest.raises(pickle.UnpicklingError, match="Weights only load failed"):
        tensors(tmp_path / "a.pth")
    assert not (tmp_path / "hostile").exists()
