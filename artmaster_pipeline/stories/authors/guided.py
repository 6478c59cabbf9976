"""A chat model that can say only what is allowed: it chooses from lists, and writes lines of one form.

Lists: what makes an option likelier, this story or any? A small model's plain likelihood says which words
are common; its difference to the same question about something says which belong to it (pointwise mutual
information, as Holtzman et al. 2021, arXiv 2104.08315, score answers).
Lines: outlines_core compiles a regular expression to a machine over the model's tokens, and every token that the
machine does not allow has no probability. outlines itself would bring diskcache and cloudpickle, pickles on the disk.
"""

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stderr
from dataclasses import dataclass
from typing import Any

from artmaster_pipeline.errors import BadInput
from artmaster_pipeline.sessions import kept
from artmaster_pipeline.stories.authors.weights import Weights

# How an English sentence goes on: no digits, no names, no quotes, five to sixteen words more.
CONTINUATION = r" [a-z]{2,12}(,? [a-z]{1,12}){4,15}\."
_MOST_TOKENS, _STRANGE = 30, 3
_NOTHING = "about something"  # without a subject at all, every story makes the same options likelier
_TEMPERATURE, _TOP_P, _REPETITION = 0.6, 0.9, 1.1


@dataclass(frozen=True)
class Line:
    """What was written, the mean log probability of its tokens, and its word of the most tokens."""

    text: str
    likelihood: float
    strangest: str = (
        ""  # a word of three tokens or more is mostly none, or two that grew together; empty: there is none
    )


class ChatModel:
    """A causal language model with its tokenizer, on one thread of the CPU: the same story on one core and on many."""

    def __init__(self, weights: Weights) -> None:
        """Raises BadInput where the files are no chat model."""
        import torch
        from outlines_core import Index, Vocabulary
        from transformers import AutoModelForCausalLM, AutoTokenizer

        self._torch = torch
        more: dict[str, Any] = {"gguf_file": weights.gguf} if weights.gguf else {}
        try:
            with _quiet():
                self._tokenizer: Any = AutoTokenizer.from_pretrained(weights.folder, trust_remote_code=False, **more)
                self._model: Any = AutoModelForCausalLM.from_pretrained(
                    weights.folder,
                    dtype=torch.float32,
                    trust_remote_code=False,
                    **({} if weights.gguf else {"use_safetensors": True}),
                    **more,
                ).eval()
        except (OSError, ValueError, KeyError) as error:
            why = " ".join(str(error).split())[:200]
            raise BadInput(
                f"{weights.folder} cannot be read as a chat model ({why})", "Name another --model."
            ) from error
        if not getattr(self._tokenizer, "chat_template", None):
            raise BadInput(f"{weights.folder} has no chat template", "Name a model that was taught to answer.")
        self._end = int(self._tokenizer.eos_token_id)
        self._sentence = Index(CONTINUATION, Vocabulary(self._end, self._pieces()))
        self._known: dict[tuple[str, tuple[str, ...]], Any] = {}

    def chosen(self, question: str, about: str, options: Sequence[str]) -> list[float]:
        """How much likelier each option becomes by `about`, nats a token; `question` says where with {about}."""
        with self._alone():
            given = self._likelihoods(question.replace("{about}", about), options)
            bare = (question.replace("{about}", _NOTHING), tuple(options))
            if bare not in self._known:
                self._known[bare] = self._likelihoods(*bare)
            return [float(value) for value in given - self._known[bare]]

    def sentences(self, messages: Sequence[dict[str, str]], begin: str, count: int, seed: int) -> list[Line]:
        """`count` sentences that answer a chat and begin with those words, sampled with a seed; whole ones only."""
        with self._alone():
            chat = self._tokenizer.apply_chat_template(list(messages), tokenize=False, add_generation_prompt=True)
            asked = self._tokenizer(f"{chat}{begin}", return_tensors="pt", add_special_tokens=False).input_ids
            memory = self._model(asked[:, :-1], use_cache=True, logits_to_keep=1).past_key_values  # once for all lines
            memory.batch_repeat_interleave(count)
            asked = asked.repeat(count, 1)
            self._torch.manual_seed(seed)
            found = self._model.generate(
                input_ids=asked,
                attention_mask=self._torch.ones_like(asked),
                past_key_values=memory,
                max_new_tokens=_MOST_TOKENS,
                do_sample=True,
                temperature=_TEMPERATURE,
                top_p=_TOP_P,
                top_k=0,
                repetition_penalty=_REPETITION,
                logits_processor=[self._guide(count, asked.shape[1])],
                pad_token_id=self._end,
                output_logits=True,
                return_dict_in_generate=True,
            )
            return self._lines(found, asked.shape[1], begin)

    def _lines(self, found: Any, begins: int, begin: str) -> list[Line]:
        written = found.sequences[:, begins:]
        given = self._torch.stack(found.logits, 1).log_softmax(-1).gather(-1, written[..., None])[..., 0]
        lines = []
        for tokens, each in zip(written, given, strict=True):
            length = int((tokens != self._end).sum())
            text = self._tokenizer.decode(tokens[:length], skip_special_tokens=True).rstrip()
            if text.endswith("."):
                lines.append(Line(begin + text, float(each[:length].mean()), self._strangest(text)))
        return lines

    def _strangest(self, text: str) -> str:
        words = text.strip(" .").replace(",", "").split()
        pieces = self._tokenizer([f" {word}" for word in words], add_special_tokens=False).input_ids
        odd = [(len(found), word) for found, word in zip(pieces, words, strict=True) if len(found) >= _STRANGE]
        return max(odd)[1] if odd else ""

    def _guide(self, count: int, begins: int) -> Any:
        """What masks the logits of `count` lines, each by its own place in the machine."""
        from outlines_core import Guide

        guides = [Guide(self._sentence) for _ in range(count)]

        def masked(tokens: Any, logits: Any) -> Any:
            allowed = self._torch.full_like(logits, -self._torch.inf)
            for row, guide in enumerate(guides):
                if tokens.shape[1] > begins and not guide.is_finished():
                    guide.advance(int(tokens[row, -1]), return_tokens=False)
                next_ = [self._end] if guide.is_finished() else guide.get_tokens()
                allowed[row, next_] = logits[row, next_]
            return allowed

        return masked

    def _likelihoods(self, before: str, options: Sequence[str]) -> Any:
        """The log probability of each option after a text, by its number of tokens."""
        torch = self._torch
        first = self._tokenizer(before, return_tensors="pt", add_special_tokens=False).input_ids
        rows = [
            [int(first[0, -1]), *self._tokenizer(f" {each}", add_special_tokens=False).input_ids] for each in options
        ]
        padded = torch.full((len(rows), max(map(len, rows))), self._end)
        for number, row in enumerate(rows):
            padded[number, : len(row)] = torch.tensor(row)
        memory = self._model(first[:, :-1], use_cache=True, logits_to_keep=1).past_key_values
        memory.batch_repeat_interleave(len(rows))
        given = self._model(padded[:, :-1], past_key_values=memory).logits.log_softmax(-1)
        each = given.gather(-1, padded[:, 1:, None])[..., 0]
        lengths = torch.tensor([len(row) - 1 for row in rows])
        inside = torch.arange(each.shape[1])[None] < lengths[:, None]
        return (each * inside).sum(1) / lengths

    def _pieces(self) -> dict[str, list[int]]:
        """The text of every token of plain letters; with others no line of the form can be made."""
        special, found = set(self._tokenizer.all_special_ids), dict[str, list[int]]()
        for token, number in self._tokenizer.get_vocab().items():
            text = self._tokenizer.convert_tokens_to_string([token])
            if token.startswith("\u2581") and not text.startswith(" "):  # sentencepiece's blank, lost at a text's start
                text = f" {text}"
            if number not in special and text and text.isascii():
                found.setdefault(text, []).append(number)
        return found

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """One thread, since more of them wait for each other at each token; and a seed that is nobody else's."""
        torch = self._torch
        threads, state = torch.get_num_threads(), torch.get_rng_state()
        torch.set_num_threads(1)
        try:
            with torch.inference_mode():
                yield
        finally:
            torch.set_num_threads(threads)
            torch.set_rng_state(state)


@kept
def load_chat_model(weights: Weights) -> ChatModel:
    """The model, read once in a session (SmolLM2: 0.6 GB, twelve seconds)."""
    return ChatModel(weights)


@contextmanager
def _quiet() -> Iterator[None]:
    """Transformers without its bars and hints; the bar of GGUF files knows no switch and goes to stderr."""
    from transformers.utils import logging

    level = logging.get_verbosity()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        with redirect_stderr(io.StringIO()):
            yield
    finally:
        logging.set_verbosity(level)
        logging.enable_progress_bar()
