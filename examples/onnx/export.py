"""Writes model.onnx: ratings of items by users, with a loss of its own. Needs torch and onnx.

The graph takes whole numbers and gives two outputs: the loss, which smlt trains, and the rating, which the deployed model
answers with. Weights are random: smlt trains them.
"""
import copy
from pathlib import Path

import torch
import torch.nn as nn
import torch.nn.functional as F


class Ratings(nn.Module):
    def __init__(self, users=200, items=100, width=8):
        super().__init__()
        self.user, self.item = nn.Embedding(users, width), nn.Embedding(items, width)
        self.user_bias, self.item_bias = nn.Embedding(users, 1), nn.Embedding(items, 1)
        self.deep = nn.Sequential(nn.Linear(2 * width, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.1), nn.Linear(16, 1))
        for table in (self.user, self.item):
            nn.init.normal_(table.weight, std=0.3)

    def forward(self, user, item, rating):
        u, i = self.user(user), self.item(item)
        predicted = (u * i).sum(1, keepdim=True) + self.deep(torch.cat([u, i], 1)) + self.user_bias(user) + self.item_bias(item)
        loss = F.mse_loss(predicted, rating) + 0.01 * (u.square().mean() + i.square().mean())
        return loss, predicted


if __name__ == "__main__":
    torch.manual_seed(1)
    model = Ratings().train()
    args = (torch.tensor([0, 1]), torch.tensor([2, 3]), torch.zeros(2, 1))
    names = ["user", "item", "rating"]
    torch.onnx.export(
        copy.deepcopy(model), args, str(Path(__file__).with_name("model.onnx")), dynamo=False, do_constant_folding=False,
        training=torch.onnx.TrainingMode.TRAINING, opset_version=18, input_names=names, output_names=["loss", "predicted"],
        dynamic_axes={name: {0: "N"} for name in [*names, "predicted"]},
    )  # fmt: skip
