using System.ComponentModel.DataAnnotations;
using System.Globalization;
using System.Text.Json;
using Titan.Abstractions;
using Titan.Host.Configuration;

namespace Titan.Host.Tests.Configuration;

/// <summary>Options of a plugin, of every type that a key may have.</summary>
public sealed class KeyTypeTests : IDisposable
{
    private readonly string file = Path.GetTempFileName();

    public void Dispose() => File.Delete(file);

    public enum Rounding
    {
        ToNearest,
        TowardZero,
    }

    public sealed record AllTypes
    {
        public bool Flag { get; init; }

        public bool? Maybe { get; init; }

        public int Whole { get; init; } = 1;

        public long? Large { get; init; }

        public float Single { get; init; } = 0.5f;

        public double Number { get; init; } = 2;

        public string Text { get; init; } = "a";

        public Rounding Rounding { get; init; }

        public Rounding? OtherRounding { get; init; }

        public IReadOnlyList<int> Wholes { get; init; } = [1, 2];

        public long[] Longs { get; init; } = [];

        public List<float> Singles { get; init; } = [];

        public IEnumerable<double> Numbers { get; init; } = [0.5];

        public IReadOnlyList<string>? Names { get; init; }

        public IReadOnlyList<Rounding> Roundings { get; init; } = [];

        public bool[] Flags { get; init; } = [];
    }

    public sealed record Ruled
    {
        [Range(1, 8)]
        public int Bits { get; init; } = 4;

        [AllowedValues("row", "tile")]
        public string Shape { get; init; } = "row";

        [Range(0, 1.0)]
        public IReadOnlyList<double> Parts { get; init; } = [];

        [MinLength(2)]
        public string Name { get; init; } = "ab";

        [Range(1, 8, ErrorMessage = "expected a width in lanes, from 1 to 8")]
        public int Width { get; init; } = 4;

        [AllowedValues(1, 2, 4)]
        public int Ways { get; init; } = 1;

        [Range(-1, 8), DeniedValues(0)]
        public long Depth { get; init; } = -1;

        [Range(0, 1.0, MinimumIsExclusive = true, MaximumIsExclusive = true)]
        public float Share { get; init; } = 0.5f;

        [Range(double.NegativeInfinity, 0)]
        public double Below { get; init; }

        [DeniedValues(Rounding.ToNearest)]
        public Rounding Rounding { get; init; } = Rounding.TowardZero;
    }

    public sealed record Unsupported
    {
        public DateTime When { get; init; }
    }

    [Theory]
    [InlineData("flag", "true", "--acme.flag")]
    [InlineData("maybe", "false", "--acme.maybe=false")]
    [InlineData("whole", "-7", "--acme.whole=-7")]
    [InlineData("large", "9000000000", "--acme.large=9000000000")]
    [InlineData("single", "0.1", "--acme.single=0.1")]
    [InlineData("number", "1E-05", "--acme.number=0.00001")]
    [InlineData("text", "\"b c\"", "--acme.text=b c")]
    [InlineData("rounding", "\"toward_zero\"", "--acme.rounding=toward_zero")]
    [InlineData("other_rounding", "\"to_nearest\"", "--acme.other-rounding=ToNearest")]
    [InlineData("wholes", "[3, 4]", "--acme.wholes=3,4")]
    [InlineData("longs", "[9000000000]", "--acme.longs=9000000000")]
    [InlineData("singles", "[0.1, 2.0]", "--acme.singles=0.1,2")]
    [InlineData("numbers", "[0.1]", "--acme.numbers=0.1")]
    [InlineData("names", "[\"x\", \"y\"]", "--acme.names=x,y")]
    [InlineData("roundings", "[\"toward_zero\", \"to_nearest\"]", "--acme.roundings=towardzero,to-nearest")]
    [InlineData("flags", "[true, false]", "--acme.flags=true,false")]
    public void Every_type_is_read_from_file_and_flag_and_printed_so_that_it_reads_back(string key, string toml, string flag)
    {
        var fromFlag = Read<AllTypes>("", flag);
        var fromFile = Read<AllTypes>($"[acme]\n{key} = {toml}\n");
        var printed = Read<AllTypes>(ConfigPrinter.ToToml(fromFlag, Schema<AllTypes>(), onlyChanged: false));
        Assert.Equal(toml, KeyType.Show(fromFlag.Values[$"acme.{key}"]));
        foreach (var job in new[] { fromFile, printed })
            foreach (var (name, value) in fromFlag.Values)
                if (name != "job.config_file") Assert.True(KeyType.Same(value, job.Values[name]), name);
        var property = typeof(AllTypes).GetProperties().Single(p => KeyNames.ToSnakeCase(p.Name) == key);
        Assert.Equal(toml, KeyType.Show(property.GetValue(fromFlag.OptionsAs(typeof(AllTypes), "acme", null))));
        using var json = JsonDocument.Parse(ConfigPrinter.ToJson(fromFlag, Schema<AllTypes>()));
        using var expected = JsonDocument.Parse(toml);
        Assert.Equal(Plain(expected.RootElement), Plain(json.RootElement.GetProperty("acme").GetProperty(key)));
    }

    [Theory]
    [InlineData("rounding = 1", "one of: to_nearest, toward_zero")]
    [InlineData("rounding = \"to_nearset\"", "did you mean 'to_nearest'")]
    [InlineData("rounding = \"1\"", "one of: to_nearest, toward_zero")]
    [InlineData("wholes = [1, 2.5]", "a list of whole numbers")]
    [InlineData("wholes = 1", "a list of whole numbers")]
    [InlineData("singles = [1e300]", "a list of numbers")]
    [InlineData("single = 1e300", "a number")]
    [InlineData("flags = [\"true\"]", "a list of true and false")]
    [InlineData("roundings = [\"to_nearest\", 2]", "one of: to_nearest, toward_zero")]
    public void A_wrong_value_is_refused_with_what_was_expected(string line, string expected)
    {
        var message = Assert.Throws<TitanException>(() => Read<AllTypes>($"[acme]\n{line}\n")).Message;
        Assert.Contains($":2: acme.{line.Split(' ')[0]} = ", message, StringComparison.Ordinal);
        Assert.Contains(expected, message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("--acme.bits=9", "acme.bits = 9: expected from 1 to 8")]
    [InlineData("--acme.shape=col", "acme.shape = \"col\": expected one of: row, tile")]
    [InlineData("--acme.parts=0.5,1.5", "1.5: expected from 0 to 1")]
    [InlineData("--acme.ways=3", "acme.ways = 3: expected one of: 1, 2, 4")]
    [InlineData("--acme.depth=0", "acme.depth = 0: expected from 1 to 8, or -1")]
    [InlineData("--acme.depth=9", "acme.depth = 9: expected from 1 to 8, or -1")]
    [InlineData("--acme.share=0", "acme.share = 0.0: expected more than 0 and less than 1")]
    [InlineData("--acme.share=1", "acme.share = 1.0: expected more than 0 and less than 1")]
    [InlineData("--acme.below=0.5", "acme.below = 0.5: expected 0 or less")]
    [InlineData("--acme.rounding=to_nearest", "acme.rounding = \"to_nearest\": expected none of: to_nearest")]
    public void Attributes_of_a_plugins_options_are_rules(string flag, string says) =>
        Assert.Contains(says, Assert.Throws<TitanException>(() => Read<Ruled>("", flag)).Message, StringComparison.Ordinal);

    /// <summary>A manifest has no words for them.</summary>
    [Theory]
    [InlineData("--acme.name=a", "command line: acme.name = \"a\": ")]
    [InlineData("--acme.width=9", "command line: acme.width = 9: expected a width in lanes, from 1 to 8")]
    public void Any_other_attribute_is_a_rule_once_the_plugin_is_loaded(string flag, string says)
    {
        var job = Read<Ruled>("", flag);
        var refusal = Assert.Throws<TitanException>(() => job.OptionsAs(typeof(Ruled), "acme", null));
        Assert.Equal(ExitCode.Usage, refusal.Code);
        Assert.Contains(says, refusal.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_type_that_no_key_can_have_is_named()
    {
        Assert.Equal(typeof(AllTypes).GetProperties().Length, OptionsRecord.Describe(typeof(AllTypes)).Count);
        Assert.Contains("Unsupported has When of type DateTime", Assert.Throws<InvalidOperationException>(() => OptionsRecord.Describe(typeof(Unsupported))).Message, StringComparison.Ordinal);
    }

    /// <summary>JSON with every number written the same way.</summary>
    private static string Plain(JsonElement json) => json.ValueKind switch
    {
        JsonValueKind.Array => $"[{string.Join(", ", json.EnumerateArray().Select(Plain))}]",
        JsonValueKind.Number => json.GetDouble().ToString("R", CultureInfo.InvariantCulture),
        _ => json.GetRawText(),
    };

    private static ConfigSchema Schema<T>() => new([new PluginSection("acme", [new PluginSectionPart(null, OptionsRecord.Describe(typeof(T)))])]);

    private LoadedJob Read<T>(string toml, params string[] args)
    {
        File.WriteAllText(file, toml);
        return new JobConfigReader(Schema<T>(), ".").Read(["--job.config_file", file, .. args]);
    }
}
