using System.Globalization;
using System.ComponentModel.DataAnnotations;
using Titan.Abstractions;
using Titan.Host.Configuration;
using Titan.Host.Jobs;
using Titan.Host.Planning;
using Titan.Training.Configuration;

namespace Titan.Host.Tests.Configuration;

/// <summary>Every key of the schema, with those of the shipped plugins, against every kind of value.</summary>
public sealed class EveryKeyTests : IDisposable
{
    private static readonly JobSession Session = JobSession.Open([]);
    private static readonly ConfigSchema Schema = Session.Schema;

    /// <summary>Values in TOML's notation; each is of a type that some keys have and others do not.</summary>
    private static readonly string[] TomlValues =
    [
        "\"x\"", "\"latest\"", "\"1e3\"", "\"\"", "\"None\"", "\"\\u0000\"", "true", "0", "-1", "3", "9223372036854775807", "-9223372036854775808", "1e3", "0.5", "-0.0", "1e308", "nan", "inf", "-inf",
        "[]", "[1, \"x\"]", "[\"x\", \"y\"]", "[true]", "[[\"x\"]]", "[1.5]", "1979-05-27", "1979-05-27T07:32:00Z", "07:32:00", "{ a = 1 }", "{}", "[{ a = 1 }]",
    ];

    private static readonly string[] FlagValues =
        ["x", "latest", "1e3", "", "None", "true", "0", "-1", "3", "0x10", "1_000", "9223372036854775807", "99999999999999999999", "0.5", "1e308", "1e400", "NaN", "Infinity", "-Infinity", "a,b", ",", " 3", "3 ", "٣", "1,5"];

    private readonly string file = Path.GetTempFileName();

    public void Dispose() => File.Delete(file);

    public static TheoryData<string> Keys => [.. Schema.All.Select(k => k.FullName).Distinct()];

    public static TheoryData<string> Numbers => [.. Schema.All.Where(k => k.Type.IsNumber && k.Rule<NotServedYetAttribute>() is null).Select(k => k.FullName).Distinct()];

    [Theory, MemberData(nameof(Keys))]
    public void A_value_of_another_type_is_refused_with_the_key_and_its_line(string name)
    {
        var key = Schema.Find(name)[0];
        var dot = name.LastIndexOf('.');
        foreach (var value in TomlValues) Judge(key, value, $"{file}:2: ", () => ReadFile($"[{name[..dot]}]\n{name[(dot + 1)..]} = {value}\n"));
        if (!key.IsSwitch)
            foreach (var value in FlagValues) Judge(key, value, "command line: ", () => Read($"--{name}={value}"));
    }

    /// <summary>What is refused names key and place; what is accepted is of the key's type. Nothing else is thrown.</summary>
    private static void Judge(ConfigKey key, string given, string place, Func<LoadedJob> read)
    {
        LoadedJob job;
        try
        {
            job = read();
        }
        catch (TitanException e)
        {
            Assert.Equal(ExitCode.Usage, e.Code);
            // What is wrong with the file itself is said of the file.
            if (key.FullName == "job.config_file") return;
            // A rule of several keys may blame another, which is at its default; it says the key all the same.
            Assert.Contains(key.Name, e.Message, StringComparison.Ordinal);
            Assert.True(new[] { place, "default: ", "model.flavor = ", "model.name = ", "parallelism: " }.Any(p => e.Message.StartsWith(p, StringComparison.Ordinal)), $"{given}: {e.Message}");
            return;
        }

        var value = job.Values[key.FullName];
        Assert.True(value is null ? key.Type.IsOptional : key.Type.Declared.IsInstanceOfType(value), $"{key.FullName} = {given} was read as {value?.GetType().Name ?? "None"}");
    }

    [Theory, MemberData(nameof(Numbers))]
    public void A_number_has_a_documented_range_and_what_is_outside_is_refused(string name)
    {
        var key = Schema.Find(name)[0];
        // A seed may be any number.
        if (name == "debug.seed") return;
        var range = Assert.Single(key.Rules.OfType<RangeAttribute>());
        Assert.NotEqual("", ValueRules.Describe(key));
        foreach (var value in Nonsense(key).Concat(Beside(key, range)))
        {
            var number = double.Parse(value, CultureInfo.InvariantCulture);
            double least = Convert.ToDouble(range.Minimum), most = Convert.ToDouble(range.Maximum);
            var isInside = double.IsFinite(number) && (range.MinimumIsExclusive ? number > least : number >= least) && (range.MaximumIsExclusive ? number < most : number <= most)
                && key.Rule<DeniedValuesAttribute>()?.Values.Any(v => Convert.ToDouble(v) == number) != true;
            var refusal = Refusal($"--{name}={value}");
            if (!isInside) Assert.Contains($"command line: {name} = ", refusal, StringComparison.Ordinal);
            // A rule of several keys may refuse it.
            else if (refusal is not null) Assert.Contains(key.Name, refusal, StringComparison.Ordinal);
        }
    }

    [Theory, MemberData(nameof(Numbers))]
    public void The_extremes_of_a_number_are_planned_or_refused_and_never_overflow(string name)
    {
        var key = Schema.Find(name)[0];
        foreach (var value in Nonsense(key))
        {
            foreach (var world in new int?[] { null, 1, 8 })
            {
                try
                {
                    var problems = new JobProblems();
                    var job = new JobConfigReader(Schema, ".").Read([$"--{name}={value}", "--validation.enable", "--model.converters=quantize.linear.float8"], problems, world);
                    problems.ThrowIfAny();
                    var request = world is { } n ? new WorldRequest(n, new Interconnect(), Titan.Quantization.Roofline.GpuSpecs.Default) : null;
                    var plan = Plan.Of(job.Config, Session.Models, Session.Converters.Choose(job, Schema), Session.Parallelisms(Plan.MeshOf(job.Config, request)), request);
                    Assert.All(plan.Memory.Values.Concat(plan.Ranks?.Memory.Values ?? []), b => Assert.True(b >= 0, $"{name} = {value}: {b} bytes"));
                    Assert.All(plan.Ranks?.Collectives ?? [], c => Assert.True(c.Traffic.PayloadBytes >= 0 && c.Traffic.WireBytes >= 0, $"{name} = {value}: {c.Traffic}"));
                }
                catch (TitanException)
                {
                    // Refused with words.
                }
            }
        }
    }

    private static IEnumerable<string> Nonsense(ConfigKey key) =>
        key.Type.Element == typeof(int) || key.Type.Element == typeof(long)
            ? ["0", "-1", "-2", "1", "1073741824", $"{int.MaxValue}", $"{int.MinValue}", $"{long.MinValue}", $"{long.MaxValue}", $"{1L << 32}"]
            : ["0", "-0.0", "-1", "1", "-1e308", "1e308", "5e-324", "NaN", "Infinity", "-Infinity", "1073741824"];

    private static IEnumerable<string> Beside(ConfigKey key, RangeAttribute range)
    {
        foreach (var bound in new[] { Convert.ToDouble(range.Minimum), Convert.ToDouble(range.Maximum) }.Where(b => Math.Abs(b) < int.MaxValue))
        {
            var step = key.Type.Element == typeof(double) || key.Type.Element == typeof(float) ? 1e-9 : 1;
            foreach (var value in new[] { bound - step, bound, bound + step }) yield return value.ToString("R", CultureInfo.InvariantCulture);
        }
    }

    private static string? Refusal(string flag)
    {
        try
        {
            Read(flag);
            return null;
        }
        catch (TitanException e)
        {
            return e.Message;
        }
    }

    private static LoadedJob Read(params string[] args) => new JobConfigReader(Schema, ".").Read(args);

    private LoadedJob ReadFile(string toml)
    {
        File.WriteAllText(file, toml);
        return Read("--job.config_file", file);
    }
}
