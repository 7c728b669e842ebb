"""What a checkpoint's weights belong to: network, words, actions and cameras in one config."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from flare.checkpoint import PROCESSORS, Checkpoint, load_checkpoint, load_weights
from flare.config import from_dict
from flare.errors import UserError
from flare.policy.config import PolicyConfig
from flare.policy.policy import Policy
from flare.policy.spoc.config import SpocConfig
from flare.specs import NAVIGATION_ACTIONS, CameraSpec
from flare.tasks.instructions import Vocabulary
from flare.tasks.tokenizer import Tokenizer, UnigramTokenizer

TOKENIZER = "tokenizer.json"  # among a checkpoint's processors
_SIGLIP_PAD = 1


@dataclass(frozen=True, kw_only=True, slots=True)
class AgentConfig:
    """Everything that must agree between training, evaluation and use of a policy."""

    network: PolicyConfig | SpocConfig
    words: tuple[str, ...] = ()  # the small policy's vocabulary; ids follow its order
    action_names: tuple[str, ...] = NAVIGATION_ACTIONS
    camera: CameraSpec = field(default_factory=CameraSpec)
    max_steps: int = 500  # of an episode in training
    max_words: int = 8  # of an instruction; words beyond are cut

    def __post_init__(self) -> None:
        if self.network.num_actions != len(self.action_names):
            raise UserError(
                f"is {self.network.num_actions}, but {len(self.action_names)} actions are named",
                key="network.num_actions",
                mend="make the two agree",
            )
        if isinstance(self.network, SpocConfig):
            return
        if self.network.vocab_size != len(Vocabulary(self.words)):
            raise UserError(
                f"is {self.network.vocab_size}, the words make {len(Vocabulary(self.words))}",
                key="network.vocab_size",
                mend="make the two agree",
            )

    def vocabulary(self, processors: Mapping[str, bytes] | None = None) -> Tokenizer:
        """Words to ids.

        Args:
            processors: the checkpoint's files; the tokenizer of a network with T5 is among them.

        Raises:
            UserError: the network needs a tokenizer, and the checkpoint came without one.
        """
        if not isinstance(self.network, SpocConfig):
            return Vocabulary(self.words, self.max_words)
        blob = (processors or {}).get(TOKENIZER)
        if blob is None:
            raise UserError(
                "is missing, and only with it instructions become token ids",
                file=f"{PROCESSORS}/{TOKENIZER}",
                mend="import the checkpoint again with --tokenizer FILE (the tokenizer.json of a "
                "download of t5-small) or --tokenizer transformers",
            )
        text = self.network.text
        pad = _SIGLIP_PAD if text.family == "siglip" else 0
        return UnigramTokenizer.from_json(blob, max_words=text.max_tokens, pad=pad)

    def build(self) -> Policy:
        """A policy with fresh weights, drawn from torch's global generator."""
        return Policy(self.network)


def load_agent(path: Path, *, which: str = "latest") -> tuple[AgentConfig, Policy, Checkpoint]:
    """The policy of a run's or checkpoint's folder, ready to act, and the checkpoint itself.

    Raises:
        UserError: no checkpoint there, a damaged one, or one of another kind.
    """
    checkpoint = load_checkpoint(path, which=which, with_trainer=False)
    agent = from_dict(checkpoint.policy, AgentConfig, file=path)
    policy = agent.build()
    try:
        load_weights(policy, checkpoint)
    except UserError as error:
        raise error.at(file=path) from error
    return agent, policy, checkpoint
