"""What the image encoder keeps of its weights follows them."""

import torch

from flare.policy.spoc.image_encoder import SpocImageEncoder
from tests.policy.spoc.spoc_cases import TINY


def encoder(seed):
    torch.manual_seed(seed)
    made = SpocImageEncoder(TINY).eval()
    with torch.no_grad():
        for weight in made.parameters():
            weight.copy_(0.3 * torch.randn_like(weight))
    return made


def frames():
    c = TINY.image
    rng = torch.Generator().manual_seed(5)
    shape = (2, c.num_cameras, c.height, c.width, 3)
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=rng)


def test_constants_are_made_once_and_anew_for_other_weights():
    first, second = encoder(1), encoder(2)
    wanted = second(frames())
    before = first(frames())
    assert first.constants() is first.constants()
    assert torch.equal(first(frames()), before)
    first.load_state_dict(second.state_dict())  # in place: the tensors are the same objects
    assert torch.equal(first(frames()), wanted) and not torch.equal(wanted, before)
    kept = first.constants()
    first.to(torch.bfloat16)  # the tensors' memory is another
    assert first.constants() is not kept and first(frames()).dtype == torch.bfloat16
    with torch.no_grad():
        first.vit.positions[0, 0, 0] += 1.0
    assert not torch.equal(first.constants().first, kept.first.bfloat16())
