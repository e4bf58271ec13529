namespace Titan.Quantization.Measurement;

/// <summary>
/// Lets .NET compile what is about to be timed. A method's first calls run unoptimised code; the optimised one is made in the background once it was called thirty times and
/// nothing new was compiled for a tenth of a second. A kernel timed before that would look many times slower than it is in a run.
/// </summary>
public static class CodeWarmUp
{
    private const int Calls = 40, Rounds = 2;
    private static readonly TimeSpan Compiling = TimeSpan.FromMilliseconds(200);

    /// <summary>Runs each piece of work often. Give it small data: the code is the same.</summary>
    public static void Run(params IReadOnlyList<Action> work)
    {
        // What the optimised code calls may itself be optimised one round later.
        for (var round = 0; round < Rounds; round++)
        {
            foreach (var action in work)
                for (var i = 0; i < Calls; i++) action();
            Thread.Sleep(Compiling);
        }
    }
}
