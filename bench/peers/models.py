"""The models of the benchmarks, and how smlt's side gets them."""
import torch
import torch.nn.functional as F
from torch import nn


def lenet():
    return nn.Sequential(
        nn.Conv2d(3, 6, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10),
    )  # fmt: skip


def convolution(inputs, outputs):
    return [nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()]


def cnn():
    return nn.Sequential(
        *convolution(3, 16), *convolution(16, 16), nn.MaxPool2d(2), *convolution(16, 32), *convolution(32, 32), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(2048, 10),
    )  # fmt: skip


class Block(nn.Module):
    def __init__(self, width, heads, causal):
        super().__init__()
        self.heads, self.causal = heads, causal
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x):
        n, s, d = x.shape
        q, k, v = (part.view(n, s, self.heads, d // self.heads).transpose(1, 2) for part in self.qkv(self.norm1(x)).split(d, dim=2))
        attended = F.scaled_dot_product_attention(q, k, v, is_causal=self.causal)
        x = x + self.out(attended.transpose(1, 2).reshape(n, s, d))
        return x + self.down(F.gelu(self.up(self.norm2(x))))


class Transformer(nn.Module):
    def __init__(self):
        super().__init__()
        self.block, self.head = Block(128, 4, causal=False), nn.Linear(128, 10)

    def forward(self, x):
        return self.head(self.block(x).mean(1))


class Gpt(nn.Module):
    def __init__(self, vocabulary=512, positions=128, width=128, layers=4):
        super().__init__()
        self.token, self.position = nn.Embedding(vocabulary, width), nn.Parameter(torch.randn(positions, width) * 0.02)
        self.blocks = nn.Sequential(*(Block(width, 4, causal=True) for _ in range(layers)))
        self.norm = nn.LayerNorm(width)
        nn.init.normal_(self.token.weight, std=0.02)

    def forward(self, tokens):
        return self.norm(self.blocks(self.token(tokens) + self.position)) @ self.token.weight.t()


class Residual(nn.Module):
    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs)
        self.conv2, self.bn2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False), nn.BatchNorm2d(outputs)
        self.short = nn.Sequential()
        if stride > 1 or inputs != outputs:
            self.short = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x):
        return F.relu(self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x))))) + self.short(x))


def resnet18():
    blocks, width = [], 64
    for outputs, stride in [(64, 1), (64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), (512, 1)]:
        blocks.append(Residual(width, outputs, stride))
        width = outputs
    return nn.Sequential(*convolution(3, 64), *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, 10))


MODELS = {
    "mlp": (lambda: nn.Sequential(nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, 128), nn.ReLU(), nn.Linear(128, 10)), 64, [784]),
    "lenet": (lenet, 32, [3, 32, 32]),
    "cnn": (cnn, 32, [3, 32, 32]),
    "transformer": (Transformer, 8, [64, 128]),
    "resnet18": (resnet18, 16, [3, 32, 32]),
    "gpt": (Gpt, 8, [128]),
}


def export(model, x, path):
    """In training mode, with every parameter under its name (docs/models.md)."""
    torch.onnx.export(
        model.train(), (x,), path, dynamo=False, training=torch.onnx.TrainingMode.TRAINING, do_constant_folding=False,
        input_names=["x"], dynamic_axes={"x": {0: "n"}},
    )  # fmt: skip
