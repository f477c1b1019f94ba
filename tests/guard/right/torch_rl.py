"""DQN as in the tutorial: a target network that is set from the policy's, hard and soft; an actor-critic of two heads."""

import copy
import random
from collections import deque

import torch
from digest import digest, random_states
from torch import nn

torch.manual_seed(6)
random.seed(6)


class DQN(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer1 = nn.Linear(4, 16)
        self.layer2 = nn.Linear(16, 2)

    def forward(self, x):
        return self.layer2(torch.relu(self.layer1(x)))


policy, target = DQN(), DQN()
target.load_state_dict(policy.state_dict())
optimizer = torch.optim.AdamW(policy.parameters(), lr=1e-3, amsgrad=True)
memory = deque(maxlen=256)
state = torch.randn(4)
best, best_reward = None, -1e9
for step in range(300):
    action = policy(state).argmax().item() if random.random() > 0.1 else random.randrange(2)
    following, reward = torch.randn(4), random.random()
    memory.append((state, action, reward, following))
    state = following
    if len(memory) < 32:
        continue
    states, actions, rewards, nexts = zip(*random.sample(list(memory), 16), strict=True)
    value = policy(torch.stack(states)).gather(1, torch.tensor(actions)[:, None])
    with torch.no_grad():
        wanted = torch.tensor(rewards) + 0.99 * target(torch.stack(nexts)).max(1).values
    loss = nn.functional.smooth_l1_loss(value, wanted[:, None])
    optimizer.zero_grad()
    loss.backward()
    nn.utils.clip_grad_value_(policy.parameters(), 100)
    optimizer.step()
    if step < 150:  # soft, as in the tutorial
        mine, theirs = target.state_dict(), policy.state_dict()
        for key in theirs:
            mine[key] = theirs[key] * 0.005 + mine[key] * 0.995
        target.load_state_dict(mine)
    elif step % 10 == 0:  # hard
        target.load_state_dict(policy.state_dict())
    if sum(rewards) > best_reward:
        best_reward, best = sum(rewards), copy.deepcopy(policy.state_dict())
    if step % 100 == 99:
        torch.save(
            {"policy": policy.state_dict(), "target": target.state_dict(), "opt": optimizer.state_dict()},
            f"dqn_{step}.pt",
        )
        print(step, f"{loss.item():.17g}")

acting = DQN()
acting.load_state_dict(best)
again, againt = DQN(), DQN()
resumed = torch.optim.AdamW(again.parameters(), lr=1e-3, amsgrad=True)
held = torch.load("dqn_299.pt")
again.load_state_dict(held["policy"])
againt.load_state_dict(held["target"])
resumed.load_state_dict(held["opt"])
again(torch.randn(8, 4)).sum().backward()
resumed.step()
print(
    digest(
        policy.state_dict(),
        target.state_dict(),
        acting.state_dict(),
        again.state_dict(),
        againt.state_dict(),
        resumed.state_dict(),
    )
)
print(random_states())
