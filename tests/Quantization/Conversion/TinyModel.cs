using Titan.Abstractions;
using static TorchSharp.torch;

namespace Titan.Quantization.Tests.Conversion;

/// <summary>Two blocks with a wide and a narrow linear each, one whose K is no multiple of 16, and an output layer.</summary>
internal sealed class TinyModel : nn.Module<Tensor, Tensor>, ISlotOwner
{
    private readonly Block[] blocks;
    private readonly ModuleSlot output;

    public TinyModel(Device? device = null) : base(nameof(TinyModel))
    {
        blocks = [new Block(device), new Block(device)];
        for (var i = 0; i < blocks.Length; i++) register_module($"layers_{i}", blocks[i]);
        output = new ModuleSlot(this, "output", new Abstractions.Linear(8192, 2048, device: device));
    }

    public IReadOnlyList<ModuleSlot> Slots => [output];

    public override Tensor forward(Tensor x) => output.forward(x);

    private sealed class Block : nn.Module<Tensor, Tensor>, ISlotOwner
    {
        private readonly ModuleSlot wide, narrow, odd;

        public Block(Device? device) : base(nameof(Block))
        {
            wide = new ModuleSlot(this, "wide", new Abstractions.Linear(8192, 2048, hasBias: true, device: device));
            narrow = new ModuleSlot(this, "narrow", new Abstractions.Linear(4096, 1024, device: device));
            odd = new ModuleSlot(this, "odd", new Abstractions.Linear(41, 128, device: device));
        }

        public IReadOnlyList<ModuleSlot> Slots => [wide, narrow, odd];

        public override Tensor forward(Tensor x) => wide.forward(x);
    }
}
