/// <summary>A converter that puts a layer of its own in the place of every linear.</summary>
public abstract class EveryLinear(string name) : IModelConverter
{
    public virtual IModelConversion Convert(ModelSlots model, object options, ConversionContext context)
    {
        var layers = new List<LayerConversion>();
        foreach (var (fqn, slot, linear) in model.Linears)
        {
            Before(layers.Count);
            slot.Replace(new Around(linear, slot.Module, Compute(options)), name);
            layers.Add(new LayerConversion(fqn, linear.Shape, name, null, "fixture"));
        }

        return new ConversionReport(name, Says(options), ExportStatus.Prototype, layers, []);
    }

    protected virtual string Summary => name;

    /// <summary>The report's summary.</summary>
    protected virtual string Says(object options) => Summary;

    /// <summary>Called before layer <paramref name="index"/> is replaced.</summary>
    protected virtual void Before(int index) { }

    /// <summary>What one layer computes; a converter keeps nothing, a layer may.</summary>
    protected virtual Func<Tensor, nn.Module<Tensor, Tensor>, Tensor> Compute(object options) => Forward;

    /// <summary>What the layer computes: x [..., K] to [..., N].</summary>
    protected virtual Tensor Forward(Tensor x, nn.Module<Tensor, Tensor> linear) => linear.call(x);

    private sealed class Around : nn.Module<Tensor, Tensor>, ILinear
    {
        private readonly ILinear linear;
        private readonly nn.Module<Tensor, Tensor> module;
        private readonly Func<Tensor, nn.Module<Tensor, Tensor>, Tensor> compute;

        public Around(ILinear linear, nn.Module<Tensor, Tensor> module, Func<Tensor, nn.Module<Tensor, Tensor>, Tensor> compute) : base(nameof(Around))
        {
            (this.linear, this.module, this.compute) = (linear, module, compute);
            register_parameter("weight", linear.Weight.Parameter);
        }

        public LinearShape Shape => linear.Shape;

        public IReadOnlyList<WeightSlot> Weights => linear.Weights;

        public override Tensor forward(Tensor x) => compute(x, module);
    }
}
