using TorchSharp;
using Titan.Abstractions;
using static TorchSharp.torch;

namespace Titan.Plugins.Tests;

/// <summary>Two linears in a row, for converters.</summary>
internal sealed class TinyModel : nn.Module<Tensor, Tensor>, ISlotOwner
{
    private readonly ModuleSlot up, down;

    public TinyModel(Device? device = null) : base(nameof(TinyModel))
    {
        up = new ModuleSlot(this, "up", new Abstractions.Linear(16, 32, device: device));
        down = new ModuleSlot(this, "down", new Abstractions.Linear(32, 16, device: device));
    }

    public IReadOnlyList<ModuleSlot> Slots => [up, down];

    public override Tensor forward(Tensor x) => down.forward(up.forward(x));
}
