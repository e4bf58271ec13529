"""Llama 3 blocks of 8B's shapes in PyTorch, eager and compiled, bf16: forward, loss and backward. The yardstick of run.sh. Random tokens."""
import argparse
import statistics
import time

import torch
import torch.nn.functional as F
from torch import nn


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

    def forward(self, tokens):
        x = self.embedding(tokens)
        for block in self.blocks:
            x = block(x, self.cos, self.sin)
        return self.output(self.norm(x))


def main():
    p = argparse.ArgumentParser()
    for name, default in dict(dim=4096, layers=4, heads=32, kv_heads=8, ffn=14336, vocab=128256, seq=8192, steps=20).items():
        p.add_argument("--" + name.replace("_", "-"), type=int, default=default)
    p.add_argument("--device", default="cuda")
    a = p.parse_args()
    torch.manual_seed(0)
    with torch.device(a.device):
        model = Model(a)
    tokens = torch.randint(a.vocab, (1, a.seq + 1), device=a.device)
    for name, run in (("eager", model), ("compiled", torch.compile(model))):
        times = []
        for i in range(a.steps + 3):
            if a.device == "cuda":
                torch.cuda.synchronize()
            start = time.perf_counter()
            with torch.autocast(a.device, torch.bfloat16):
                loss = F.cross_entropy(run(tokens[:, :-1]).float().flatten(0, 1), tokens[:, 1:].flatten())
            loss.backward()
            model.zero_grad(set_to_none=True)
            if a.device == "cuda":
                torch.cuda.synchronize()
            if i >= 3:
                times.append(time.perf_counter() - start)
        memory = torch.cuda.max_memory_allocated() / 2**30 if a.device == "cuda" else float("nan")
        print(f"PyTorch {torch.__version__} bf16 {name}: {statistics.median(times):.4f} s/step, {a.seq / statistics.median(times):,.0f} tokens/s, {memory:.2f} GiB, loss {loss.item():.4f}")


if __name__ == "__main__":
    main()
