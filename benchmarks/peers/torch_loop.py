"""The main job as a PyTorch user writes it: `python torch_loop.py FOLDER`; denormals flushed, data in one tensor.

Limits: the initial weights are PyTorch's own, not Keras's; all else is the main job.
"""

from __future__ import annotations

import sys
import time

import torch
from common import mnist, report

torch.manual_seed(int(sys.argv[2]) if len(sys.argv) > 2 else 0)
torch.set_flush_denormal(True)
x_train, y_train, x_test, y_test = (torch.from_numpy(a.copy()) for a in mnist(sys.argv[1]))
x_train = x_train.float() / 255
x_test = x_test.float() / 255
y_train = y_train.long()
y_test = y_test.long()

model = torch.nn.Sequential(torch.nn.Linear(784, 512), torch.nn.ReLU(), torch.nn.Linear(512, 10))
optimizer = torch.optim.RMSprop(model.parameters(), lr=1e-3, alpha=0.9, eps=1e-7)
cross_entropy = torch.nn.CrossEntropyLoss()
seconds = []
for _ in range(5):
    began = time.perf_counter()
    total = torch.zeros(())
    right = torch.zeros((), dtype=torch.int64)
    for rows in torch.randperm(len(x_train)).split(128):
        x = x_train[rows]
        y = y_train[rows]
        logits = model(x)
        loss = cross_entropy(logits, y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        total += loss.detach() * len(rows)
        right += (logits.detach().argmax(1) == y).sum()
    figures = float(total) / len(x_train), float(right) / len(x_train)
    seconds.append(time.perf_counter() - began)
with torch.no_grad():
    accuracy = float((model(x_test).argmax(1) == y_test).float().mean())
report(seconds, accuracy, last_epoch=figures)
