using Titan.Abstractions;
using static TorchSharp.torch;

namespace Titan.Models;

/// <summary>A head whose weight is the table of the embedding: x [..., dim] to logits [..., V]. It has no parameter of its own.</summary>
internal sealed class TiedHead : nn.Module<Tensor, Tensor>, IKernelUser
{
    // A field that holds a module makes it a child.
    private readonly Func<IWeightSource> weight;

    public TiedHead(Embedding table) : base(nameof(TiedHead))
    {
        weight = () => table.Weight;
        table.Weight = new TiedWeight(table.Weight);
    }

    public IModelKernels Kernels { get; set; } = PlainModelKernels.Instance;

    public override Tensor forward(Tensor x) => Linear.Multiply(x, weight(), Kernels);
}
