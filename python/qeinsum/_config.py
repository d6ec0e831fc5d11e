"""Configurations: how calls are quantized."""

from __future__ import annotations

import json
import operator
import re
from typing import Any, Mapping

from . import _qeinsum
from ._errors import error_of, reworded


class Config:
    """How an equation is quantized: one configuration for every call, and overrides.

    Made by `v4` (AQT's `config_v4`) and its like, or read from the TOML or JSON that the command line reads. Settings have
    the names that the table "Configuring quantization" of the README gives them; `None` bits leave a side in floats.

    >>> Config.v4(drhs_bits=8).with_operand(1, bits=4).to_toml().splitlines()[:2]
    ['version = 1', '']
    """

    __slots__ = ("_native", "_document")

    def __init__(self, document: Mapping[str, Any]) -> None:
        """Of a document as JSON has it: `Config({"preset": "v4", "fwd_bits": 4, "operand": {"1": {"bits": 8}}})`."""
        self._document = {"version": 1, **_plain(document)}
        try:
            self._native = _qeinsum.Config.from_json(json.dumps(self._document))
        except _qeinsum.ConfigError as error:
            raise reworded(error, _without_place(str(error), self._document)) from None

    @classmethod
    def v4(
        cls,
        *,
        fwd_bits: int | None = 8,
        dlhs_bits: int | None = 8,
        drhs_bits: int | None = None,
        **settings: Any,
    ) -> Config:
        """AQT's `config_v4`: eight bits forward and for the gradient of the lhs by default, none for that of the rhs."""
        return cls({"preset": "v4", "fwd_bits": fwd_bits, "dlhs_bits": dlhs_bits, "drhs_bits": drhs_bits, **settings})

    @classmethod
    def v3(
        cls,
        *,
        fwd_bits: int | None = 8,
        dlhs_bits: int | None = 8,
        drhs_bits: int | None = None,
        **settings: Any,
    ) -> Config:
        """AQT's `config_v3`."""
        return cls({"preset": "v3", "fwd_bits": fwd_bits, "dlhs_bits": dlhs_bits, "drhs_bits": drhs_bits, **settings})

    @classmethod
    def fully_quantized(cls, *, fwd_bits: int | None = 8, bwd_bits: int | None = 8, **settings: Any) -> Config:
        """AQT's `fully_quantized`."""
        return cls({"preset": "fully-quantized", "fwd_bits": fwd_bits, "bwd_bits": bwd_bits, **settings})

    @classmethod
    def from_sides(
        cls,
        *,
        lhs_bits: int | None = None,
        rhs_bits: int | None = None,
        bwd_bits: int | None = None,
        **settings: Any,
    ) -> Config:
        """AQT's `dot_general_make`: bits of the earlier and of the later operand of a step."""
        return cls(
            {"preset": "from-sides", "lhs_bits": lhs_bits, "rhs_bits": rhs_bits, "bwd_bits": bwd_bits, **settings}
        )

    @classmethod
    def bits(cls, bits: int) -> Config:
        """So many bits forward and for the gradient of the earlier operand, as the command line's `--bits`.

        That gradient is rounded stochastically, so that `vjp` needs a `key`.
        """
        if isinstance(bits, str) and bits == "auto":
            raise TypeError("bits are a number; `QEinsum.choose_bits` chooses them by operands")
        try:
            bits = operator.index(bits)
        except TypeError:
            raise TypeError(f"bits are a whole number, not {bits!r}") from None
        if not 2 <= bits <= 22:
            raise error_of(_qeinsum.ConfigError, "config", f"bits are 2 to 22, not {bits}")
        return cls.v4(fwd_bits=bits, dlhs_bits=bits)

    @classmethod
    def from_toml(cls, text: str) -> Config:
        """The configuration of a TOML text."""
        return cls(json.loads(_qeinsum.Config.from_toml(text).to_json()))

    @classmethod
    def from_json(cls, text: str) -> Config:
        """The configuration of a JSON text."""
        return cls(json.loads(_qeinsum.Config.from_json(text).to_json()))

    @classmethod
    def load(cls, path: Any) -> Config:
        """The configuration of a TOML file, or of a JSON file where its name ends so."""
        with open(path, encoding="utf-8") as file:
            text = file.read()
        return cls.from_json(text) if str(path).lower().endswith(".json") else cls.from_toml(text)

    def to_toml(self) -> str:
        """The TOML that `from_toml` and the command line read."""
        return self._native.to_toml()

    def to_json(self) -> str:
        """The JSON that `from_json` reads."""
        return self._native.to_json()

    def with_operand(self, operand: int, **side: Any) -> Config:
        """The same with settings of its own for an operand of the equation, such as `bits=4`."""
        return self._with("operand", str(operand), side)

    def with_step(self, step: int, **settings: Any) -> Config:
        """The same with a configuration of its own for a step of the path, such as `preset="v4", fwd_bits=4`."""
        return self._with("step", str(step), settings)

    def with_intermediates(self, **side: Any) -> Config:
        """The same with settings of its own for results of steps."""
        return Config({**self._document, "intermediates": side})

    def _with(self, table: str, name: str, settings: Mapping[str, Any]) -> Config:
        return Config({**self._document, table: {**self._document.get(table, {}), name: settings}})

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Config) and self._native == other._native

    def __hash__(self) -> int:
        return hash(self.to_json())

    def __reduce__(self) -> tuple[Any, tuple[dict[str, Any]]]:
        return Config, (self._document,)

    def __repr__(self) -> str:
        settings = {name: value for name, value in self._document.items() if name != "version"}
        return f"Config({settings!r})"


def _plain(value: Any) -> Any:
    """Settings as the schema spells them: words with hyphens are given as they are, none is `"none"`."""
    if value is None:
        return "none"
    if isinstance(value, Mapping):
        return {str(name): _plain(each) for name, each in value.items()}
    if isinstance(value, bool) or isinstance(value, (int, float, str)):
        return value
    if hasattr(value, "item"):  # a scalar of NumPy
        return _plain(value.item())
    raise TypeError(f"a setting is a number, a word or a table of settings, not {type(value).__name__}")


def _without_place(message: str, document: Mapping[str, Any]) -> str:
    """An error of a JSON text that nobody wrote: without its line, and with the setting that it is about, if one alone is."""
    place = re.compile(r" at line \d+ column \d+$", re.MULTILINE)
    if not place.search(message):
        return message
    for name, value in document.items():
        rest = {other: each for other, each in document.items() if other != name}
        try:
            _qeinsum.Config.from_json(json.dumps(rest))
        except _qeinsum.ConfigError:
            continue
        return f"setting {name}={value!r}: {place.sub('', message)}"
    return place.sub("", message)


def of(config: Config | Mapping[str, Any] | str | None, bits: int | None) -> Config | None:
    """What the keyword arguments `config` and `bits` come to."""
    if bits is not None:
        if config is not None:
            raise TypeError("give `config` or `bits`, not both")
        return Config.bits(bits)
    if config is None or isinstance(config, Config):
        return config
    if isinstance(config, str):
        if "=" not in config:
            raise TypeError(
                f"config is TOML text, and {config!r} is none: `Config.v4()` and its like are presets, `Config.load` reads a file"
            )
        return Config.from_toml(config)
    if isinstance(config, Mapping):
        return Config(config)
    raise TypeError(f"config is a qeinsum.Config, a mapping or TOML text, not {type(config).__name__}")
