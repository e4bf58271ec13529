using Titan.Abstractions;
using Titan.Models;
using static TorchSharp.torch;

namespace Titan.Families.Tests.Experts;

/// <summary>The router against upstream's, and where upstream promises nothing: ties.</summary>
public sealed class RouterTests
{
    private static readonly Dictionary<string, RouterArgs> Cases = new()
    {
        ["sigmoid_top1"] = new(8, 1),
        ["sigmoid_top1_bias"] = new(8, 1),
        ["softmax_top3"] = new(8, 3) { Score = RouterScore.Softmax },
        ["softmax_top4_norm"] = new(16, 4) { Score = RouterScore.Softmax, Norm = true },
        ["sigmoid_groups"] = new(16, 3) { Groups = 4, LimitedGroups = 2, Norm = true, Scale = 2.5 },
        ["softmax_groups"] = new(16, 6) { Score = RouterScore.Softmax, Groups = 8, LimitedGroups = 3, Scale = 16 },
        ["softmax_gate_bias"] = new(8, 4) { Score = RouterScore.Softmax, Norm = true, GateBias = true },
        ["forced_balance"] = new(8, 3) { Score = RouterScore.Softmax, Norm = true },
    };

    public static TheoryData<string> Names => [.. Cases.Keys];

    [Theory, MemberData(nameof(Names))]
    public void Scores_experts_order_and_gradients_are_those_of_upstream(string name)
    {
        using var scope = NewDisposeScope();
        var golden = Golden.Of("router").Where(t => t.Key.StartsWith(name + ".", StringComparison.Ordinal)).ToDictionary(t => t.Key[(name.Length + 1)..], t => t.Value);
        var args = Cases[name];
        using var router = Made(args, golden["gate.weight"].shape[1], name == "forced_balance");
        foreach (var (fqn, parameter) in router.named_parameters()) using (no_grad()) parameter.copy_(golden[fqn]);
        var x = golden["x"].requires_grad_();
        var routing = router.Route(x, golden.GetValueOrDefault("expert_bias"), null);

        // The order of a token's experts is not upstream's to say: theirs are brought into ours.
        var where = routing.Experts.unsqueeze(2).eq(golden["selected"].unsqueeze(1)).to(ScalarType.Int64);
        Assert.True(where.sum(2).eq(1).all().item<bool>(), "other experts");
        var place = where.argmax(2);
        Golden.Close(golden["top_scores"].gather(1, place), routing.Scores, 1e-6, "scores");
        var rows = new RoutedRows(routing.Experts, args.Experts);
        Assert.Equal(golden["counts"].data<long>().ToArray(), rows.Counts.data<long>().ToArray());
        // Rows of one expert in the order of their tokens.
        Assert.Equal(golden["indices_sorted"].div(args.TopK, RoundingMode.floor).data<long>().ToArray(), rows.Order.div(args.TopK, RoundingMode.floor).data<long>().ToArray());
        Golden.Close(golden["scores_sorted"], rows.Sorted(routing.Scores).squeeze(1), 1e-6, "sorted scores");

        routing.Scores.backward([golden["grad_top_scores"].gather(1, place)]);
        BackwardFailure.ThrowIfAny();
        Golden.Close(golden["grad_x"], x.grad!, 1e-6, "x");
        foreach (var (fqn, parameter) in router.named_parameters()) Golden.Close(golden[$"grad_{fqn}"], parameter.grad!, 1e-6, fqn);
    }

    [Fact]
    public void Ties_go_to_the_lower_index()
    {
        using var scope = NewDisposeScope();
        using var router = Made(new RouterArgs(6, 3), 4, false);
        foreach (var (_, parameter) in router.named_parameters()) using (no_grad()) parameter.zero_();
        Assert.Equal([0L, 1, 2], router.Route(randn(1, 4), null, null).Experts.data<long>().ToArray());
        // All scores are 0.5; the bias alone decides, and stays out of the scores.
        var routing = router.Route(randn(1, 4), tensor(new float[] { 0, 0, 1, 0, 2, 0 }), null);
        Assert.Equal([4L, 2, 0], routing.Experts.data<long>().ToArray());
        Assert.All(routing.Scores.data<float>().ToArray(), s => Assert.Equal(0.5f, s));
    }

    [Fact]
    public void Forced_balance_is_even_where_it_can_be()
    {
        using var scope = NewDisposeScope();
        using var router = Made(new RouterArgs(6, 3), 4, true);
        Assert.All(new RoutedRows(router.Route(randn(8, 4), null, null).Experts, 6).Counts.data<long>().ToArray(), c => Assert.Equal(4, c));
    }

    [Theory]
    [InlineData(4, 5, null, null, "the best 5 of 4 experts; expected 1 to 4")]
    [InlineData(4, 0, null, null, "the best 0 of 4 experts")]
    [InlineData(8, 2, 3, 1, "8 experts in 3 groups; expected a number of groups that divides the experts")]
    [InlineData(8, 2, 8, 2, "8 experts in 8 groups; expected at least 2 in each")]
    [InlineData(8, 2, 4, null, "limited to no number of 4 groups")]
    [InlineData(8, 2, 4, 5, "limited to 5 of 4 groups; expected 1 to 4")]
    [InlineData(8, 2, null, 2, "limited to 2 groups without groups")]
    [InlineData(8, 3, 4, 1, "1 groups of 2 experts have fewer than the 3 that a token goes to")]
    public void Numbers_that_do_not_fit_are_refused(int experts, int topK, int? groups, int? limited, string expected)
    {
        var args = new MoeArgs(new RouterArgs(experts, topK) { Groups = groups, LimitedGroups = limited }, new SwiGluExpertArgs(8));
        Assert.Contains(expected, Assert.Throws<ArgumentException>(() => args.Create(8, Context)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_rate_of_balancing_that_moves_nothing_is_refused() =>
        Assert.Contains("LoadBalance 0", Assert.Throws<ArgumentException>(() => new MoeArgs(new RouterArgs(4, 1), new SwiGluExpertArgs(8)) { LoadBalance = 0 }.Create(8, Context)).Message, StringComparison.Ordinal);

    private static ModelContext Context { get; } = new(16, CPU, ScalarType.Float32);

    private static Router Made(RouterArgs args, long dimension, bool even) => new(args, dimension, Context with { ForceLoadBalance = even });
}
