"""Content credentials: the house's own certificate, and C2PA manifests signed with it and checked against it.

The keys are made on first use and stay in <home>/.keys/, which neither git nor DVC takes up. The house vouches for
itself: a certificate authority of its own issues the certificate that signs (C2PA specification 2.2, 14.5: X.509 v3,
digitalSignature, an extended key usage for signing claims, ES256). Whoever wants to check needs certificate.pem, which
lies in every signed site. Nothing is asked of the network: no time stamps, no revocation lists.
"""

import importlib.util
import io
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from artmaster_pipeline.containers import has_credentials, kind_of
from artmaster_pipeline.errors import ArtMasterError, MissingRequirement
from artmaster_pipeline.files import write_text
from artmaster_pipeline.house import AUTHORITY, AUTHORITY_KEY, SIGNER, SIGNER_KEY, keys_folder
from artmaster_pipeline.settings import Home

CERTIFICATE = "certificate.pem"  # of the house's authority, as it lies in a signed site
EXTRA = "pip install 'artmaster-pipeline[credentials]'"

State = Literal["none", "house", "other", "broken", "not checked"]

_AUTHORITY_YEARS, _SIGNER_YEARS = 30, 20  # without time stamps a signature is worth what its certificate is worth now
_CLAIM_SIGNING, _EMAIL_PROTECTION = "1.3.6.1.4.1.62558.2.1", "1.3.6.1.5.5.7.3.4"
_COMPOSITE = "http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia"
_GENERATED = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
_STATEMENT = "artmaster.provenance"
_OFFLINE = {"remote_manifest_fetch": False, "ocsp_fetch": False, "verify_trust": True}


@dataclass(frozen=True)
class Credentials:
    """What a picture's content credentials are worth, who signed them, and what they state."""

    state: State
    signer: str = ""
    statement: dict[str, Any] | None = None
    fault: str = ""


@dataclass(frozen=True)
class Ingredient:
    """What went into the making of a picture, known by a hash: a manifest names it and does not hold it."""

    kind: Literal["model", "dataset"]
    title: str
    sha256: str  # or the older name of a base's weights
    says: str


@dataclass(frozen=True)
class EditClaim:
    """What a manifest says of a picture of which a part was made, and the work that it was made in."""

    title: str
    parent: Path  # the work's file
    parent_mime: str
    boxes: Sequence[tuple[int, int, int, int]]  # around what was made: left, top, right, bottom in pixels
    says: str  # of the edit, one sentence
    statement: dict[str, Any]
    ingredients: Sequence[Ingredient] = ()


@dataclass(frozen=True)
class Signer:
    """The certificate and key by which one data home signs."""

    folder: Path

    @cached_property
    def fingerprint(self) -> str:
        """sha256 of the signing certificate, 64 hexadecimal digits."""
        from cryptography import x509
        from cryptography.hazmat.primitives.hashes import SHA256

        return x509.load_pem_x509_certificate((self.folder / SIGNER).read_bytes()).fingerprint(SHA256()).hex()

    @property
    def certificate(self) -> bytes:
        """The authority's certificate as PEM: what others check the house's signatures against."""
        return (self.folder / AUTHORITY).read_bytes()

    def sign(
        self, content: bytes, title: str, statement: dict[str, Any], ingredients: Sequence[Ingredient] = ()
    ) -> bytes:
        """The picture file `content` (PNG, JPEG or WebP) with a signed manifest that states it was AI generated.

        The manifest names as its `ingredients` what it was generated from.

        Raises ArtMasterError where the file cannot be signed or the key is not usable.
        """
        import c2pa

        signed = io.BytesIO()
        with self._signing(title, "publish"):
            builder = c2pa.Builder(_manifest(title, statement, ingredients), _context(self.certificate))
            builder.sign(self._c2pa_signer(), f"image/{kind_of(content)}", io.BytesIO(content), signed)
        return signed.getvalue()

    def sign_edit(self, source: Path, target: Path, mime: str, claim: EditClaim) -> None:
        """Write the picture `source` as `target` with a signed manifest that names the work as what it was made from.

        As C2PA 2.2 has it (18.15): the work is the parent ingredient that was opened, and what was done is an edit
        with the source type compositeWithTrainedAlgorithmicMedia and its regions. Raises as `sign`.
        """
        import c2pa

        manifest = _edit_manifest(claim)
        parent = {"title": claim.parent.name, "relationship": "parentOf", "label": "work"}
        with self._signing(claim.title, "edit"), claim.parent.open("rb") as work:
            builder = c2pa.Builder(manifest, _context(self.certificate))
            builder.add_ingredient(parent, claim.parent_mime, work)
            with source.open("rb") as unsigned, target.open("w+b") as signed:
                builder.sign(self._c2pa_signer(), mime, unsigned, signed)

    def _c2pa_signer(self) -> Any:
        import c2pa

        chain = (self.folder / SIGNER).read_bytes() + self.certificate
        key = (self.folder / SIGNER_KEY).read_bytes()
        return c2pa.Signer.from_info(c2pa.C2paSignerInfo("es256", chain, key, None))

    @contextmanager
    def _signing(self, title: str, verb: str) -> Iterator[None]:
        import c2pa

        try:
            yield
        except c2pa.C2paError as error:
            raise ArtMasterError(
                f"{title} could not be signed with the keys in {self.folder}: {error}. Move that folder away and "
                f"{verb} with --sign to make new ones, or {verb} without signing."
            ) from error


def find_signer(home: Home) -> Signer | None:
    """The house that signs for a data home; None where no keys have been made."""
    return Signer(keys_folder(home)) if (keys_folder(home) / SIGNER_KEY).is_file() else None


def is_installed() -> bool:
    """Whether what signing and checking need is installed."""
    return all(importlib.util.find_spec(name) for name in ("c2pa", "cryptography"))


def make_keys(home: Home) -> Signer:
    """The house's keys, made where there are none; private keys can be read by their owner only (mode 0600).

    Raises MissingRequirement where the extra `credentials` is not installed.
    """
    if not is_installed():
        raise MissingRequirement(f"Content credentials need the extra `credentials`: {EXTRA}")
    from filelock import FileLock

    home.cache.mkdir(parents=True, exist_ok=True)
    with FileLock(home.cache / "keys.lock"):
        signer = find_signer(home)
        if signer is None:
            folder = Path(tempfile.mkdtemp(prefix=".keys-", dir=home.root))  # mode 0700
            try:
                _write_keys(folder)
                folder.replace(keys_folder(home))
            finally:
                shutil.rmtree(folder, ignore_errors=True)
            signer = Signer(keys_folder(home))
    return signer


def check_credentials(content: bytes, home: Home | None = None) -> Credentials:
    """What the content credentials of a picture file are worth. "house" is the house of the data home `home`.

    "broken" means that the file is not as it was signed, or the signature or certificate is not valid; "other" that all
    is well but signed by somebody whom this house does not know.
    """
    if not has_credentials(content):
        return Credentials("none")
    if not is_installed():
        return Credentials("not checked", fault=f"To check them: {EXTRA}")
    import c2pa

    certificate = keys_folder(home) / AUTHORITY if home else None
    anchors = certificate.read_bytes() if certificate and certificate.is_file() else b""
    try:
        reader = c2pa.Reader(f"image/{kind_of(content)}", io.BytesIO(content), context=_context(anchors))
        said = json.loads(reader.json())
    except (c2pa.C2paError, ValueError) as error:
        return Credentials("broken", fault=str(error))
    manifest = said.get("manifests", {}).get(said.get("active_manifest"), {})
    signer = str(manifest.get("signature_info", {}).get("issuer", ""))
    statement = next((a["data"] for a in manifest.get("assertions", ()) if a.get("label") == _STATEMENT), None)
    state = said.get("validation_state")
    if state not in ("Trusted", "Valid"):
        faults = [str(fault.get("code")) for fault in said.get("validation_status", ())]
        return Credentials("broken", signer, statement, ", ".join(faults))
    return Credentials("house" if state == "Trusted" and anchors else "other", signer, statement)


def _manifest(title: str, statement: dict[str, Any], ingredients: Sequence[Ingredient]) -> dict[str, Any]:
    labels = _labels(ingredients)
    created: dict[str, Any] = {"action": "c2pa.created", "digitalSourceType": _GENERATED}
    if labels:
        created["parameters"] = {"ingredientIds": labels}
    return _manifest_of([created], title, statement, ingredients)


def _edit_manifest(claim: EditClaim) -> dict[str, Any]:
    opened = {"action": "c2pa.opened", "parameters": {"ingredientIds": ["work"]}}
    edited: dict[str, Any] = {
        "action": "c2pa.edited",
        "description": claim.says,
        "digitalSourceType": _COMPOSITE,
        "changes": [{"description": claim.says, "region": [_rectangle(box) for box in claim.boxes]}],
    }
    if labels := _labels(claim.ingredients):
        edited["parameters"] = {"ingredientIds": labels}
    return _manifest_of([opened, edited], claim.title, claim.statement, claim.ingredients)


def _rectangle(box: tuple[int, int, int, int]) -> dict[str, Any]:
    """A region of interest in pixels (C2PA 2.2, 18.2)."""
    left, top, right, bottom = box
    origin = {"x": float(left), "y": float(top)}
    shape = {"type": "rectangle", "unit": "pixel", "origin": origin}
    return {"type": "spatial", "shape": shape | {"width": float(right - left), "height": float(bottom - top)}}


def _labels(ingredients: Sequence[Ingredient]) -> list[str]:
    return [f"{ingredient.kind}-{place}" for place, ingredient in enumerate(ingredients)]


def _manifest_of(
    actions: list[dict[str, Any]], title: str, statement: dict[str, Any], ingredients: Sequence[Ingredient]
) -> dict[str, Any]:
    from artmaster_pipeline import __version__

    return {
        "claim_generator_info": [{"name": "ArtMaster", "version": __version__}],
        "title": title,
        "assertions": [
            {"label": "c2pa.actions.v2", "data": {"actions": actions}},
            {"label": _STATEMENT, "data": statement},
        ],
        "ingredients": [
            {
                "label": label,
                "title": ingredient.title,
                "format": "application/octet-stream",
                "instance_id": f"sha256:{ingredient.sha256}",
                "relationship": "inputTo",  # C2PA 2.2, 8.4: the input of a process such as a model's inference
                "data_types": [{"type": f"c2pa.types.{ingredient.kind}"}],
                "description": ingredient.says,
            }
            for label, ingredient in zip(_labels(ingredients), ingredients, strict=True)
        ],
    }


def _context(anchors: bytes) -> Any:
    import c2pa

    settings: dict[str, Any] = {"builder": {"thumbnail": {"enabled": False}}, "verify": _OFFLINE}
    if anchors:
        settings["trust"] = {"trust_anchors": anchors.decode()}
    return c2pa.Context(c2pa.Settings.from_dict(settings))


def _write_keys(folder: Path) -> None:
    """An authority and the certificate it issues for signing, with their keys."""
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509 import ObjectIdentifier
    from cryptography.x509.oid import NameOID

    authority_key, signer_key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))

    def name(common: str) -> x509.Name:
        house = x509.SubjectKeyIdentifier.from_public_key(authority_key.public_key()).digest.hex()[:16]
        organization = x509.NameAttribute(NameOID.ORGANIZATION_NAME, f"ArtMaster house {house}")
        return x509.Name([organization, x509.NameAttribute(NameOID.COMMON_NAME, common)])

    authority = (
        _certificate(name("Authority"), name("Authority"), authority_key.public_key(), _AUTHORITY_YEARS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(key_cert_sign=True, crl_sign=True), critical=True)
    )
    uses = [ObjectIdentifier(_CLAIM_SIGNING), ObjectIdentifier(_EMAIL_PROTECTION)]
    issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key())
    signer = (
        _certificate(name("Content credentials"), name("Authority"), signer_key.public_key(), _SIGNER_YEARS)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(digital_signature=True), critical=True)
        .add_extension(x509.ExtendedKeyUsage(uses), critical=False)
        .add_extension(issuer, critical=False)
    )
    for file in (".gitignore", ".dvcignore"):
        write_text(folder / file, "*\n")
    _write_private(folder / AUTHORITY_KEY, authority_key)
    _write_public(folder / AUTHORITY, authority, authority_key)
    _write_public(folder / SIGNER, signer, authority_key)
    _write_private(folder / SIGNER_KEY, signer_key)


def _certificate(subject: Any, issuer: Any, key: Any, years: int) -> Any:
    from cryptography import x509

    begin = datetime.now(UTC) - timedelta(hours=1)  # clocks differ
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(begin + timedelta(days=365 * years))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _usage(**wanted: bool) -> Any:
    from cryptography import x509

    names = ["digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement"]
    names += ["key_cert_sign", "crl_sign", "encipher_only", "decipher_only"]
    return x509.KeyUsage(**{name: wanted.get(name, False) for name in names})


def _write_private(file: Path, key: Any) -> None:
    from cryptography.hazmat.primitives import serialization as form

    pem = key.private_bytes(form.Encoding.PEM, form.PrivateFormat.PKCS8, form.NoEncryption())
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as private:
        private.write(pem)


def _write_public(file: Path, certificate: Any, key: Any) -> None:
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.serialization import Encoding

    file.write_bytes(certificate.sign(key, SHA256()).public_bytes(Encoding.PEM))
