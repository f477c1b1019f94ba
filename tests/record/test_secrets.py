"""Secrets go, code stays as it is."""

from __future__ import annotations

import pytest

from holdfast._record.secrets import FILTERED, without_secret_arguments, without_secrets

SECRETS = [
    'password = "hunter2-and-more"',
    "PASSWORD=hunter2-and-more",
    "  db_password: hunter2-and-more",
    '"api_key": "hunter2-and-more"',
    "export WANDB_API_KEY=hunter2-and-more",
    "aws_secret_access_key = hunter2-and-more",
    "Authorization-Bearer: hunter2-and-more",
    "url = 'postgres://user:hunter2-and-more@host/db'",
    "git clone https://x:hunter2-and-more@example.org/r.git",
    "-----BEGIN RSA PRIVATE KEY-----\nhunter2-and-more\n-----END RSA PRIVATE KEY-----",
    "-----BEGIN PRIVATE KEY-----\nhunter2-and-more (cut",
]
TOKENS = [
    "AKIA" + "A1B2C3D4E5F6G7H8",
    "ghp_" + "a" * 36,
    "github_pat_" + "a1_" * 10,
    "hf_" + "aB3" * 12,
    "sk-" + "aB3d" * 10,
    "xoxb-" + "1234567890-abc",
    "AIza" + "a" * 35,
    "eyJhbGciOiJIUzI1" + ".eyJzdWIiOiIxMjM0" + ".c2lnbmF0dXJl",
]
HARMLESS = [
    "password = None",
    "api_key: str",
    "api_key = os.environ['WANDB_API_KEY']",
    "secret = self.read()",
    "password=args.password",
    "max_tokens = 512",
    "tokenizer = Tokenizer.from_pretrained('bert')",
    "lr = 3e-4  # the secret of it",
    "https://example.org/a:b@c",
    "def key(x): return x",
    "task-specific-learning-rate-schedule",
    "access_token=${TOKEN}",
]


@pytest.mark.parametrize("text", SECRETS)
def test_a_secret_goes(text: str) -> None:
    cleaned = without_secrets(f"before\n{text}\nafter")
    assert "hunter2" not in cleaned
    assert FILTERED in cleaned
    assert cleaned.startswith("before\n")


@pytest.mark.parametrize("token", TOKENS)
def test_a_token_of_known_form_goes(token: str) -> None:
    assert without_secrets(f"x = f({token!r})") == f"x = f('{FILTERED}')"


@pytest.mark.parametrize("text", HARMLESS)
def test_code_stays(text: str) -> None:
    assert without_secrets(text) == text


def test_twice_is_once() -> None:
    for text in SECRETS:
        assert without_secrets(without_secrets(text)) == without_secrets(text)


def test_arguments() -> None:
    given = [
        "train.py",
        "--lr",
        "0.1",
        "--api-key",
        "abc",
        "--token=abc",
        "--tokens",
        "5",
        "--password",
        "--x",
        "abc",
    ]
    assert without_secret_arguments(given) == [
        "train.py", "--lr", "0.1", "--api-key", FILTERED, f"--token={FILTERED}", "--tokens", "5", "--password", "--x", "abc",
    ]  # fmt: skip
