"""The commands ``ponant doctor`` and ``ponant rpc-server``."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from ponant.cli.doctor import doctor
from ponant.cli.rpc_server import rpc_server
from ponant.doctor import examination
from ponant.doctor.backends import EngineBuild, choose
from ponant.doctor.suited_models import suited_models

GB = 2**30


def test_doctor_shows_the_machine_and_the_engine(tmp_path: Path) -> None:
    shown = CliRunner().invoke(doctor, ["--data-dir", str(tmp_path)])
    assert shown.exit_code == 0, shown.output
    for heading in ("Machine", "Engine", "Extras", "Models"):
        assert f"\n{heading}" in f"\n{shown.output}"
    assert "RPC         yes" in shown.output
    document = json.loads(CliRunner().invoke(doctor, ["--data-dir", str(tmp_path), "--json"]).output)
    assert document["can_serve"]
    assert document["memory"] >= document["available"] > 0
    assert {model["fit"] for model in document["models"]} <= {"device", "device and processor", "processor", "no"}


def test_doctor_names_the_remedy_of_each_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> None:
        raise OSError("libcudart.so.12 was not found")

    monkeypatch.setattr(examination, "devices", broken)
    shown = CliRunner().invoke(doctor, ["--data-dir", str(tmp_path)])
    assert shown.exit_code == 1
    assert "the engine cannot be loaded: libcudart.so.12 was not found\n    make clean serve" in shown.output


@pytest.mark.parametrize(
    ("host", "device", "fit"),
    [
        (16 * GB, 24 * GB, "device"),
        (16 * GB, 3 * GB, "device and processor"),
        (16 * GB, 0, "processor"),
        (2 * GB, 0, "no"),
    ],
)
def test_models_are_placed_where_they_fit(host: int, device: int, fit: str) -> None:
    (seven,) = [suited for suited in suited_models(host, device) if suited.model.name == "Mistral 7B"]
    assert seven.fit == fit
    assert (seven.context > 0) == (fit != "no")


def build(name: str, *, missing: tuple[str, ...] = (), hardware: bool = True) -> EngineBuild:
    return EngineBuild(name, name.upper(), (f"-D{name}",), "5", (), missing, hardware)


def test_first_complete_backend_is_built() -> None:
    cpu = build("cpu")
    assert choose("auto", [build("cuda"), cpu]).name == "cuda"
    assert choose("auto", [build("cuda", missing=("nvcc was not found",)), cpu]) is cpu
    assert choose("auto", [build("cuda", hardware=False), cpu]) is cpu
    assert choose("cuda", [build("cuda", hardware=False), cpu]).all_arguments == ("-Dcuda", "-DGGML_RPC=on")
    with pytest.raises(ValueError, match="CUDA cannot be built here: nvcc was not found"):
        choose("cuda", [build("cuda", missing=("nvcc was not found",)), cpu])
    with pytest.raises(ValueError, match="there is no backend opencl; choose auto, cpu"):
        choose("opencl", [cpu])


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.0.7", "gpu1.example"])
def test_rpc_server_refuses_other_addresses_without_consent(host: str) -> None:
    shown = CliRunner().invoke(rpc_server, ["--host", host])
    assert shown.exit_code == 2
    assert "add --allow-remote" in shown.output
