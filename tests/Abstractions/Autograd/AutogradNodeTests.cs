using TorchSharp;
using static TorchSharp.torch;

namespace Titan.Abstractions.Tests.Autograd;

/// <summary>Counts of live tensors and sizes of the process: nothing may run beside it.</summary>
[Collection(nameof(Alone))]
public sealed class AutogradNodeTests
{
    [Fact]
    public void Gradients_are_those_of_ATen_also_where_outputs_and_inputs_are_shared()
    {
        using var scope = NewDisposeScope();
        manual_seed(3);
        Tensor x = randn(5, 4).requires_grad_(true), y = randn(5, 4).requires_grad_(true), g = randn(5, 4);
        var products = Product.Of(x, y);
        (products[0] + Product.Of(products[0], x)[1]).backward([g]);
        BackwardFailure.ThrowIfAny();
        Tensor a = x.detach().requires_grad_(true), b = y.detach().requires_grad_(true);
        (a * b + (a * b + a)).backward([g]);
        Assert.True(x.grad!.allclose(a.grad!));
        Assert.True(y.grad!.allclose(b.grad!));
    }

    [Fact]
    public void An_output_that_did_not_reach_the_loss_has_no_gradient()
    {
        using var scope = NewDisposeScope();
        var x = ones(3).requires_grad_(true);
        var call = new Product();
        var outputs = call.Run(x, x);
        outputs[1].sum().backward();
        BackwardFailure.ThrowIfAny();
        Assert.Equal([true, false], call.Missing!);
    }

    [Fact]
    public void Where_no_gradient_can_be_asked_for_there_is_no_node_and_nothing_is_saved()
    {
        using var scope = NewDisposeScope();
        var before = AutogradNode.Alive;
        var x = ones(3);
        Assert.False(Product.Of(x, x)[0].requires_grad);
        using (no_grad()) Assert.False(Product.Of(x.requires_grad_(true), x)[0].requires_grad);
        Assert.Equal(before, AutogradNode.Alive);
    }

    [Fact]
    public void Backward_on_a_thread_without_a_scope_leaves_no_handle_behind()
    {
        // CUDA nodes run on a thread of libtorch's; here a thread of ours does the same.
        Step(10);
        var (tensors, nodes) = (Tensor.TotalCount, AutogradNode.Alive);
        for (var i = 0; i < 20; i++) Step(10);
        Assert.Equal(tensors, Tensor.TotalCount);
        Assert.Equal(nodes, AutogradNode.Alive);
    }

    [Fact]
    public void Ten_thousand_graphs_leave_nothing_behind()
    {
        var (tensors, nodes) = (Tensor.TotalCount, AutogradNode.Alive);
        for (var i = 0; i < 10_000; i++)
        {
            using var scope = NewDisposeScope();
            var x = ones(2).requires_grad_(true);
            var y = Product.Of(x, x)[0];
            // Every third graph dies without a backward.
            if (i % 3 != 0) y.sum().backward();
        }

        Assert.Equal(tensors, Tensor.TotalCount);
        Assert.Equal(nodes, AutogradNode.Alive);
    }

    [Fact]
    public void What_a_node_saved_is_freed_right_after_its_backward()
    {
        const long size = 256L << 20;
        using var scope = NewDisposeScope();
        var x = ones(size / 4).requires_grad_(true);
        long resident = 0, after = 0;
        var first = Watched.Of(x, () => after = Memory.Resident(), () => { });
        var second = Watched.Of(first, () => { }, () => resident = Memory.Resident());
        first.Dispose();
        second.sum().backward();
        BackwardFailure.ThrowIfAny();
        Assert.True(after < resident - size / 2, $"{resident >> 20} MB in the last function's backward, {after >> 20} MB in the one before; expected {size >> 20} MB less");
    }

    [Fact]
    public void What_backward_takes_for_the_last_time_is_freed_before_it_ends()
    {
        const long size = 256L << 20;
        using var scope = NewDisposeScope();
        var call = new Taker();
        var y = call.Of(ones(2).requires_grad_(true), size / 4);
        y.sum().backward();
        BackwardFailure.ThrowIfAny();
        Assert.True(call.After < call.Before - size / 2, $"{call.Before >> 20} MB before, {call.After >> 20} MB after; expected {size >> 20} MB less");
        Assert.Contains("taken before", call.Again!.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_node_holds_no_copy_of_its_output()
    {
        const long size = 1L << 30;
        using var scope = NewDisposeScope();
        var x = ones(1).requires_grad_(true);
        var before = Memory.Virtual();
        var y = Wide.Of(x, size / 4);
        var grown = Memory.Virtual() - before;
        Assert.True(grown < size * 3 / 2, $"the address space grew by {grown >> 20} MB for an output of {size >> 20} MB");
        Assert.Equal(size / 4, y.numel());
    }

    [Fact]
    public void A_second_backward_through_a_graph_is_refused_with_the_reason()
    {
        using var scope = NewDisposeScope();
        var x = ones(2).requires_grad_(true);
        var y = Product.Of(x, x)[0].sum();
        y.backward(retain_graph: true);
        BackwardFailure.ThrowIfAny();
        y.backward();
        Assert.Contains("retain_graph is not supported", Assert.Throws<InvalidOperationException>(BackwardFailure.ThrowIfAny).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_gradient_of_a_gradient_is_refused_with_the_reason()
    {
        using var scope = NewDisposeScope();
        var x = ones(2).requires_grad_(true);
        autograd.grad([Product.Of(x, x)[0].sum()], [x], create_graph: true, allow_unused: true);
        Assert.Contains("create_graph", Assert.Throws<InvalidOperationException>(BackwardFailure.ThrowIfAny).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_saved_tensor_that_was_written_to_is_an_error()
    {
        using var scope = NewDisposeScope();
        Tensor x = ones(2).requires_grad_(true), factor = ones(2);
        var y = Product.Of(x, factor)[0].sum();
        factor.add_(1);
        y.backward();
        Assert.Contains("modified by an inplace operation", Assert.ThrowsAny<Exception>(BackwardFailure.ThrowIfAny).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_wrong_number_of_gradients_is_an_error_that_names_the_function()
    {
        using var scope = NewDisposeScope();
        var x = ones(2).requires_grad_(true);
        Forgetful.Of(x, ones(2)).sum().backward();
        Assert.Equal("Forgetful: its backward gave 1 gradients; expected 2, one for each input", Assert.Throws<InvalidOperationException>(BackwardFailure.ThrowIfAny).Message);
    }

    [Fact]
    public void A_function_before_one_that_failed_gets_no_gradient_and_does_not_fail_too()
    {
        using var scope = NewDisposeScope();
        var x = ones(2).requires_grad_(true);
        Forgetful.Of(Product.Of(x, x)[0], ones(2)).sum().backward();
        Assert.Throws<InvalidOperationException>(BackwardFailure.ThrowIfAny);
        BackwardFailure.ThrowIfAny();
    }

    [Fact]
    public void What_a_backward_fails_with_names_the_layer_whose_forward_made_the_node()
    {
        using var scope = NewDisposeScope();
        using var owner = new Owner();
        owner.Slot.forward(ones(2).requires_grad_(true)).sum().backward();
        Assert.Equal("inner", Assert.Throws<InvalidOperationException>(BackwardFailure.ThrowIfAny).Data[ModuleSlot.FailedLayer]);
        // Not that of a layer which runs later.
        Forgetful.Of(ones(2).requires_grad_(true), ones(2)).sum().backward();
        Assert.Empty(Assert.Throws<InvalidOperationException>(BackwardFailure.ThrowIfAny).Data);
    }

    [Fact]
    public void A_forward_that_throws_leaves_no_node()
    {
        using var scope = NewDisposeScope();
        var before = AutogradNode.Alive;
        var x = ones(2).requires_grad_(true);
        Assert.Throws<InvalidOperationException>(() => Wide.Of(x, -1));
        Assert.Equal(before, AutogradNode.Alive);
    }

    [Fact]
    public void A_call_runs_once()
    {
        using var scope = NewDisposeScope();
        var call = new Product();
        call.Run(ones(1), ones(1));
        Assert.Contains("make a new object", Assert.Throws<InvalidOperationException>(() => call.Run(ones(1), ones(1))).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_backward_within_a_backward_gives_its_gradients()
    {
        using var scope = NewDisposeScope();
        var x = full(3, 2f).requires_grad_(true);
        Again.Of(x).sum().backward();
        BackwardFailure.ThrowIfAny();
        Assert.Equal(4f, x.grad![0].item<float>());
    }

    [Fact]
    public void A_library_without_the_exports_is_refused_by_name()
    {
        var other = System.Runtime.InteropServices.NativeLibrary.Load("libm.so.6");
        var error = Assert.Throws<TitanException>(() => AutogradLibrary.Check(other, 16, 16));
        Assert.Contains("it lacks THSAutograd_CSharpNode_ctor", error.Message, StringComparison.Ordinal);
        AutogradLibrary.Check();
    }

    private sealed class Owner : nn.Module
    {
        public Owner() : base(nameof(Owner)) => Slot = new ModuleSlot(this, "inner", new Inner());

        public ModuleSlot Slot { get; }

        private sealed class Inner() : nn.Module<Tensor, Tensor>(nameof(Inner))
        {
            public override Tensor forward(Tensor x) => Forgetful.Of(x, ones(2));
        }
    }

    private static void Step(int depth)
    {
        using var scope = NewDisposeScope();
        var x = ones(16, 16).requires_grad_(true);
        var y = x;
        for (var i = 0; i < depth; i++) y = Product.Of(y, x)[i % 2];
        var loss = y.sum();
        var thread = new Thread(() => loss.backward());
        thread.Start();
        thread.Join();
        BackwardFailure.ThrowIfAny();
        x.grad!.Dispose();
    }
}
