"""A machine-learning bill of materials in CycloneDX 1.6 (ECMA-424, https://cyclonedx.org/docs/1.6/json/).

CycloneDX's own library for Python has no model card yet, so the document is written here; the tests hold it against the
schema in that library. It says what the adapter is made of: the base model, the training set, each artwork in it with
hash and rights, and the software that was installed when the training ended.
"""

import json
import re
import uuid
from typing import Any

from artmaster_pipeline import __version__
from artmaster_pipeline.adapters.describing import tags_of, title_of
from artmaster_pipeline.gallery.pages import work_name
from artmaster_pipeline.lineage.exports.subject import Figure, Subject
from artmaster_pipeline.pictures import AI_GENERATED
from artmaster_pipeline.records import Scan, identity

BILL = "bom.cdx.json"
_SHA256 = re.compile(r"[0-9a-f]{64}")
_OWN = ("artmaster-pipeline", "python")  # software that is not a package of the Python index


def files(subject: Subject) -> dict[str, str]:
    """bom.cdx.json."""
    return {BILL: json.dumps(_bill(subject), ensure_ascii=False, indent=1) + "\n"}


def _bill(subject: Subject) -> dict[str, Any]:
    adapter = subject.adapter
    artworks = [_artwork(scan, subject.rights_of(scan)) for scan in subject.answer.artworks]
    inherited = [_artwork(e.scan, subject.rights_of(e.scan), e.through) for e in subject.inherited.values()]
    training = subject.answer.training
    software = [_software(name, version) for name, version in (training.software if training else {}).items()]
    base, data = _base(subject), _training_set(subject)
    content = {
        "components": [base, data, *artworks, *inherited, *software],
        "dependencies": [
            {"ref": adapter.id, "dependsOn": [each["bom-ref"] for each in (base, data, *inherited, *software)]},
            {"ref": data["bom-ref"], "dependsOn": [each["bom-ref"] for each in artworks]},
            *({"ref": each["bom-ref"]} for each in (base, *artworks, *inherited, *software)),
        ],
    }
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, 'artmaster:bom:' + identity(adapter.id, content))}",
        "version": 1,
        "metadata": {
            "timestamp": f"{subject.day}T00:00:00Z",
            "tools": {"components": [{"type": "application", "name": "ArtMaster", "version": __version__}]},
            "component": _adapter(subject, data["bom-ref"]),
            "properties": _properties({"artmaster:commit": training.commit if training else ""}),
        },
        **content,
    }


def _adapter(subject: Subject, data: str) -> dict[str, Any]:
    adapter, licence = subject.adapter, subject.base.licence
    card: dict[str, Any] = {
        "modelParameters": {
            "approach": {"type": "self-supervised"},
            "task": "text-to-image",
            "architectureFamily": "diffusion transformer",
            "modelArchitecture": f"AdaLoRA folded to a LoRA, on {subject.base.title}",
            "datasets": [{"ref": data}],
            "inputs": [{"format": "text"}],
            "outputs": [{"format": "image"}],
        },
        "considerations": _considerations(subject),
    }
    if subject.figures:
        card["quantitativeAnalysis"] = {"performanceMetrics": [_metric(figure) for figure in subject.figures]}
    return {
        "type": "machine-learning-model",
        "bom-ref": adapter.id,
        "name": title_of(adapter, subject.painter.name),
        "version": adapter.id,
        "description": f"A style adapter for the hand of {subject.painter.name}; say in the prompt: {adapter.trigger}",
        "hashes": _hashes(adapter.sha256),
        **({"licenses": [{"license": _licence(licence.name or licence.id, licence.link)}]} if licence else {}),
        "tags": list(tags_of(adapter.base_model)),
        "modelCard": card,
        "properties": _properties(
            {
                "artmaster:profile": adapter.profile,
                "artmaster:seed": str(adapter.seed),
                "artmaster:steps": str(adapter.steps),
                "artmaster:weights-of-step": str(adapter.step),
                "artmaster:trigger": adapter.trigger,
                "artmaster:started-from": adapter.started_from,
            }
        ),
    }


def _considerations(subject: Subject) -> dict[str, Any]:
    verdict = subject.verdict
    judged = [*(verdict.reasons if verdict else ("It was not judged.",))]
    return {
        "useCases": [f"Pictures in the style of {subject.painter.name}, marked as AI generated."],
        "technicalLimitations": judged,
        "ethicalConsiderations": [
            {
                "name": AI_GENERATED,
                "mitigationStrategy": "Every picture says so, in its file and by content credentials.",
            },
            {
                "name": "Rights in the artworks",
                "mitigationStrategy": "Each is listed with its statement of rights; one that is withdrawn marks the "
                "adapter, which is then not used any more.",
            },
        ],
    }


def _metric(figure: Figure) -> dict[str, Any]:
    ends = {"lowerBound": figure.low, "upperBound": figure.high}
    interval = {name: f"{end:g}" for name, end in ends.items() if end is not None}
    return {
        "type": figure.name,
        "value": f"{figure.value:g}",
        "slice": "held-out works",
        **({"confidenceInterval": interval} if interval else {}),
    }


def _base(subject: Subject) -> dict[str, Any]:
    adapter, base = subject.adapter, subject.base
    licence = base.licence
    whole = _SHA256.fullmatch(adapter.base_revision)
    return {
        "type": "machine-learning-model",
        "bom-ref": f"base:{base.name}",
        "name": base.name,
        "version": adapter.base_commit or adapter.base_revision,
        "description": base.title,
        **({"hashes": _hashes(adapter.base_revision)} if whole else {}),
        **({"licenses": [{"license": _licence(licence.name or licence.id, licence.link)}]} if licence else {}),
        **({"purl": f"pkg:huggingface/{base.name}@{adapter.base_commit}"} if adapter.base_commit else {}),
        "properties": _properties({"artmaster:weights": adapter.base_revision}),  # a hash over the hashes of its files
    }


def _training_set(subject: Subject) -> dict[str, Any]:
    adapter, answer = subject.adapter, subject.answer
    counts = {
        "artmaster:artworks": len(answer.artworks),
        "artmaster:pictures": len(answer.training_images),
        "artmaster:artworks-for-validation": len(answer.validation),
        "artmaster:artworks-held-out": len(answer.held_out),
    }
    return {
        "type": "data",
        "bom-ref": f"training-set:{adapter.training_set_hash}",
        "name": f"Training set of {subject.painter.name}",
        "version": adapter.training_set_hash,
        "hashes": _hashes(adapter.training_set_hash),  # of its manifest, which names every picture by sha256
        "data": [
            {
                "type": "dataset",
                "name": f"{len(answer.training_images)} pictures of {len(answer.artworks)} works, with captions",
                "contents": {"properties": _properties({name: str(count) for name, count in counts.items()})},
            }
        ],
    }


def _artwork(scan: Scan, rights: str, through: str = "") -> dict[str, Any]:
    return {
        "type": "data",
        "bom-ref": f"artwork:{scan.sha256}",
        "name": work_name(scan),
        "hashes": _hashes(scan.sha256),
        **({"licenses": [{"license": _licence(rights)}]} if rights else {}),
        "data": [{"type": "other", "name": "scan of an artwork"}],
        "properties": _properties(
            {
                "artmaster:accession-number": scan.accession_number,
                "artmaster:date": scan.date,
                "artmaster:inherited-from": through,  # the adapter that this one was started from
            }
        ),
    }


def _software(name: str, version: str) -> dict[str, Any]:
    kind = "generic" if name in _OWN else "pypi"
    return {
        "type": "platform" if name == "python" else "library",
        "bom-ref": f"software:{name}",
        "name": name,
        "version": version,
        "purl": f"pkg:{kind}/{name}@{version.replace('+', '%2B')}",
    }


def _licence(name: str, link: str = "") -> dict[str, Any]:
    """A licence by name: CycloneDX takes ids of SPDX alone, which statements of rights are not."""
    return {"name": name, **({"url": link} if link else {})}


def _hashes(sha256: str) -> list[dict[str, str]]:
    return [{"alg": "SHA-256", "content": sha256}]


def _properties(values: dict[str, str]) -> list[dict[str, str]]:
    return [{"name": name, "value": value} for name, value in values.items() if value]
