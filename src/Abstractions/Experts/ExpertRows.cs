namespace Titan.Abstractions;

/// <summary>Rows of the experts that are here; they may still be on their way.</summary>
public sealed class ExpertRows
{
    private readonly Func<Activation> arrive;
    private Activation? rows;

    private ExpertRows(Func<Activation> arrive, RowGroups groups, object? state) => (this.arrive, Groups, State) = (arrive, groups, state);

    /// <summary>Rows that are here already.</summary>
    /// <param name="rows">[M, D], sorted by expert, filled up with rows of zeros.</param>
    /// <param name="groups">Divides M.</param>
    /// <param name="state">What <see cref="IExpertExchange.Combine"/> needs to know.</param>
    public ExpertRows(Activation rows, RowGroups groups, object? state = null) : this(() => rows, groups, state) { }

    /// <summary>Rows that are on their way.</summary>
    /// <param name="arrive">Waits for the rows; called once, when they are asked for, on the thread and in the dispose scope of whoever asks.</param>
    /// <param name="groups">Divides M.</param>
    /// <param name="state">What <see cref="IExpertExchange.Combine"/> needs to know.</param>
    public static ExpertRows Arriving(Func<Activation> arrive, RowGroups groups, object? state) => new(arrive, groups, state);

    /// <summary>[M, D], sorted by expert, filled up with rows of zeros. The first who asks waits for them.</summary>
    public Activation Rows => rows ??= arrive();

    /// <summary>Divides M.</summary>
    public RowGroups Groups { get; }

    /// <summary>What <see cref="IExpertExchange.Combine"/> needs to know.</summary>
    public object? State { get; }
}
