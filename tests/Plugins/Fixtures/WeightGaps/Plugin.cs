/// <summary>What is wrong with the weights that it adds.</summary>
public enum Fault
{
    /// <summary>Each rank fills them otherwise.</summary>
    Differs,

    /// <summary>They belong to no layer that gives them out.</summary>
    Ownerless,
}

public sealed record WeightOptions
{
    public Fault Fault { get; init; }
}

/// <summary>Adds a weight to a layer, with which several ranks cannot train.</summary>
[ExportConverter("acme.weight_gaps")]
public sealed class Plugin : IModelConverter
{
    public Type OptionsType => typeof(WeightOptions);

    public IModelConversion Convert(ModelSlots model, object options, ConversionContext context)
    {
        var (fqn, slot, linear) = model.Linears.First();
        slot.Wrap(new Wider(slot.Module, ((WeightOptions)options).Fault), "acme.weight_gaps");
        return new Conversion(new ConversionReport("acme.weight_gaps", "one weight more", ExportStatus.Prototype, [new LayerConversion(fqn, linear.Shape, "wider", null, "fixture")], []));
    }

    private sealed class Conversion(ConversionReport report) : IModelConversion
    {
        public ConversionReport Report => report;

        public void Initialize(string fqn, Tensor whole) => whole.fill_(double.Parse(Environment.GetEnvironmentVariable("OMPI_COMM_WORLD_RANK") ?? "0"));
    }

    private sealed class Wider : LinearWrapper
    {
        private readonly Linear? more;

        public Wider(nn.Module<Tensor, Tensor> inner, Fault fault) : base(nameof(Wider), inner)
        {
            if (fault == Fault.Ownerless) register_parameter("scale", new TorchSharp.Modules.Parameter(ones(1)));
            else register_module("more", more = new Linear(Shape.K, Shape.N, device: META));
        }

        public override Activation Forward(Activation x)
        {
            using var scope = NewDisposeScope();
            var y = RunInner(x);
            return new Activation((more is null ? y : y + more.call(x.Values)).MoveToOuterDisposeScope());
        }
    }
}
