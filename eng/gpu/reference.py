"""Llama 3 blocks of 8B's shapes in PyTorch: forward, loss and backward in bf16. The yardstick of run.sh. Random weights and tokens.

One arm in a process, so that its memory is its own: eager; compiled (each block and the loss by themselves, as torchtitan compiles); tensorwise, rowwise (compiled, with torchao's float8 in the blocks' linears; with
--eager not compiled: on a CPU the compiler takes longer than the steps).
"""
import argparse
import os
import statistics
import sys
import time

import torch
import torch.nn.functional as F
from torch import nn

FLOAT8 = ("tensorwise", "rowwise")
UNTIMED = 3


class Block(nn.Module):
    def __init__(self, dim, heads, kv_heads, ffn):
        super().__init__()
        self.heads, self.kv_heads, self.width = heads, kv_heads, dim // heads
        self.wq, self.wo = nn.Linear(dim, dim, bias=False), nn.Linear(dim, dim, bias=False)
        self.wk, self.wv = (nn.Linear(dim, kv_heads * self.width, bias=False) for _ in range(2))
        self.w1, self.w3, self.w2 = nn.Linear(dim, ffn, bias=False), nn.Linear(dim, ffn, bias=False), nn.Linear(ffn, dim, bias=False)
        self.first, self.second = nn.RMSNorm(dim, eps=1e-5), nn.RMSNorm(dim, eps=1e-5)

    def turn(self, x, cos, sin):
        even, odd = x.float().unflatten(-1, (-1, 2)).unbind(-1)
        return torch.stack((even * cos - odd * sin, even * sin + odd * cos), -1).flatten(-2).to(x.dtype)

    def forward(self, x, cos, sin):
        h = self.first(x)
        b, s, _ = h.shape
        q = self.turn(self.wq(h).view(b, s, self.heads, self.width), cos, sin).transpose(1, 2)
        k = self.turn(self.wk(h).view(b, s, self.kv_heads, self.width), cos, sin).transpose(1, 2)
        v = self.wv(h).view(b, s, self.kv_heads, self.width).transpose(1, 2)
        x = x + self.wo(F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True).transpose(1, 2).flatten(2))
        h = self.second(x)
        return x + self.w2(F.silu(self.w1(h)) * self.w3(h))


class Model(nn.Module):
    def __init__(self, a):
        super().__init__()
        self.embedding, self.norm, self.output = nn.Embedding(a.vocab, a.dim), nn.RMSNorm(a.dim, eps=1e-5), nn.Linear(a.dim, a.vocab, bias=False)
        self.blocks = nn.ModuleList(Block(a.dim, a.heads, a.kv_heads, a.ffn) for _ in range(a.layers))
        angles = torch.outer(torch.arange(a.seq), 500000.0 ** -(torch.arange(0, a.dim // a.heads, 2) / (a.dim // a.heads))).unsqueeze(1)
        self.register_buffer("cos", angles.cos())
        self.register_buffer("sin", angles.sin())
        for block in self.blocks:
            for weight in block.parameters():
                if weight.dim() == 2:
                    nn.init.normal_(weight, std=0.02)

    def forward(self, tokens):
        x = self.embedding(tokens)
        for block in self.blocks:
            x = block(x, self.cos, self.sin)
        return self.output(self.norm(x))


def loss_of(logits, labels):
    return F.cross_entropy(logits.float().flatten(0, 1), labels.flatten())


def convert(model, recipe):
    """Casts the blocks' linears by torchao's recipe; the head stays in bf16, as in the arms that this one is set beside."""
    from torch._inductor import config as inductor
    from torchao.float8 import Float8LinearConfig, convert_to_float8_training

    # As torchtitan sets it for this recipe: scales are rounded as without compilation.
    inductor.emulate_precision_casts = inductor.emulate_precision_casts or recipe == "rowwise"
    convert_to_float8_training(model, config=Float8LinearConfig.from_recipe_name(recipe), module_filter_fn=lambda module, name: name != "output")


def prepared(model, arm, eager):
    """The model and the loss as the arm runs them."""
    if arm in FLOAT8:
        convert(model, arm)
    if eager or arm == "eager":
        return model, loss_of
    for i, block in enumerate(model.blocks):
        model.blocks[i] = torch.compile(block)
    return model, torch.compile(loss_of)


def main():
    p = argparse.ArgumentParser()
    for name, default in dict(dim=4096, layers=4, heads=32, kv_heads=8, ffn=14336, vocab=128256, seq=8192, steps=20).items():
        p.add_argument("--" + name.replace("_", "-"), type=int, default=default)
    p.add_argument("--device", default="cuda")
    p.add_argument("--arm", default="compiled", choices=("eager", "compiled", *FLOAT8))
    p.add_argument("--torchao", help="a folder that holds torchao's Python sources")
    p.add_argument("--eager", action="store_true", help="compiles nothing, whatever the arm")
    a = p.parse_args()
    if a.torchao:
        # The Python sources alone: what they would compile is not needed for training.
        os.environ["TORCHAO_FORCE_SKIP_LOADING_SO_FILES"] = "1"
        sys.path.insert(0, a.torchao)
    on_gpu = a.device == "cuda"
    torch.manual_seed(0)
    with torch.device(a.device):
        model, loss_function = prepared(Model(a), a.arm, a.eager)
    tokens = torch.randint(a.vocab, (1, a.seq + 1), device=a.device)
    times = []
    for i in range(UNTIMED + a.steps):
        if on_gpu:
            torch.cuda.synchronize()
        start = time.perf_counter()
        with torch.autocast(a.device, torch.bfloat16):
            loss = loss_function(model(tokens[:, :-1]), tokens[:, 1:])
        loss.backward()
        model.zero_grad(set_to_none=True)
        if on_gpu:
            torch.cuda.synchronize()
        if i >= UNTIMED:
            times.append(time.perf_counter() - start)
    in_use, allocated = "", ""
    if on_gpu:
        free, total = torch.cuda.mem_get_info()
        in_use, allocated = f"{(total - free) / 2**30:.2f}", f"{torch.cuda.max_memory_allocated() / 2**30:.2f}"
    median = statistics.median(times)
    # One line for run.sh: arm, seconds, least, tokens/s, GiB in use by the driver, GiB allocated at most, loss.
    print(f"RESULT|{a.arm}{', eager' if a.eager and a.arm != 'eager' else ''}|{median:.4f}|{min(times):.4f}|{a.seq / median:.0f}|{in_use}|{allocated}|{loss.item():.5f}")


if __name__ == "__main__":
    main()
