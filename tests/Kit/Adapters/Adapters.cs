using TorchSharp;
using Titan.Abstractions;
using static TorchSharp.torch;

namespace Titan.Tests.Kit;

/// <summary>A converter as an outside author would write it: low-rank adapters around every linear layer of the blocks, on a model that is frozen (Hu et al., 2021).</summary>
internal sealed class Adapters : IModelConverter
{
    public const string Name = "test.adapters";

    private const int Rank = 4;

    /// <summary>Whether it forgets to say how its parameters are filled.</summary>
    public bool ForgetsInitialisation { get; init; }

    public IModelConversion Convert(ModelSlots model, object options, ConversionContext context)
    {
        model.Freeze();
        var layers = new List<LayerConversion>();
        foreach (var (fqn, slot, linear) in model.Linears.Where(l => l.Fqn.StartsWith("layers.", StringComparison.Ordinal)))
        {
            slot.Wrap(new Adapted(slot.Module), Name);
            layers.Add(new LayerConversion(fqn, linear.Shape, "adapted", null, "high precision"));
        }

        var report = new ConversionReport(Name, "adapters", ExportStatus.Prototype, layers, []);
        return ForgetsInitialisation ? report : new Conversion(report);
    }

    private sealed class Conversion(ConversionReport report) : IModelConversion
    {
        public ConversionReport Report => report;

        public void Initialize(string fqn, Tensor whole)
        {
            if (fqn.EndsWith("lora_b.weight", StringComparison.Ordinal)) nn.init.zeros_(whole);
            else nn.init.normal_(whole, 0, 0.05);
        }
    }

    /// <summary>y = W x + B A x.</summary>
    private sealed class Adapted : LinearWrapper
    {
        private readonly Linear down, up;

        public Adapted(nn.Module<Tensor, Tensor> inner) : base(nameof(Adapted), inner)
        {
            (down, up) = (new Linear(Shape.K, Rank, device: META), new Linear(Rank, Shape.N, device: META));
            register_module("lora_a", down);
            register_module("lora_b", up);
        }

        public override Activation Forward(Activation x)
        {
            using var scope = NewDisposeScope();
            return new Activation((RunInner(x) + up.call(down.call(x.Values))).MoveToOuterDisposeScope());
        }
    }
}
