using System.Reflection;
using System.Reflection.Emit;
using Titan.Abstractions;
using Titan.Host.Configuration;
using Titan.Host.Jobs;
using Titan.Training.Configuration;

namespace Titan.Host.Tests.Configuration;

/// <summary>A key that is accepted has an effect: compiled code outside of its checks reads it. Or it says that it has none.</summary>
public sealed class KeysAreReadTests
{
    /// <summary>What the reader itself uses up, by name: the file that it reads, and where plugins are.</summary>
    private static readonly string[] OfTheReader = ["job.config_file", "model.tokenizer_path", "plugins.path", "plugins.disable", "plugins.allow"];

    private static readonly Dictionary<short, OpCode> OpCodes = typeof(OpCodes).GetFields(BindingFlags.Public | BindingFlags.Static).Select(f => (OpCode)f.GetValue(null)!).ToDictionary(o => o.Value);

    [Fact]
    public void Every_key_is_read_or_refused_or_says_that_it_has_no_effect()
    {
        var session = JobSession.Open([]);
        session.Catalog.Load(session.Catalog.Records);
        var properties = Properties(session);
        Assert.Equal(session.Schema.All.Select(k => k.FullName).Distinct().Order(), properties.Select(p => p.Key).Distinct().Order());
        var assemblies = properties.Select(p => p.Property.DeclaringType!.Assembly)
            .Concat([typeof(JobSession).Assembly, typeof(JobConfig).Assembly, typeof(Titan.Quantization.Conversion.QuantizeLinearOptions).Assembly]).Concat(session.Catalog.Exports<IParallelism, ParallelismMetadata>().Select(p => p.Part.GetType().Assembly)).Distinct();
        var read = assemblies.SelectMany(Calls).ToHashSet();
        var unread = properties.Where(p => !session.Schema.Find(p.Key).Any(IsExempt) && !read.Contains(Getter(p.Property))).Select(p => p.Key).Distinct().ToList();
        Assert.True(unread.Count == 0, $"read nowhere: {string.Join(", ", unread)}");
    }

    [Fact]
    public void The_search_tells_what_is_read_from_what_is_not()
    {
        var read = Calls(typeof(KeysAreReadTests).Assembly).ToHashSet();
        Assert.Contains(Getter(typeof(Two).GetProperty(nameof(Two.Read))!), read);
        Assert.DoesNotContain(Getter(typeof(Two).GetProperty(nameof(Two.NotRead))!), read);
    }

    private sealed record Two
    {
        public int Read { get; init; }

        public int NotRead { get; init; }
    }

    internal static int UseOne() => new Two { Read = 1, NotRead = 2 }.Read;

    /// <summary>The property that each key is: of the job's records, and of the options records of the plugins.</summary>
    private static List<(string Key, PropertyInfo Property)> Properties(JobSession session)
    {
        List<(string, PropertyInfo)> found = [];
        foreach (var section in typeof(JobConfig).GetProperties().Where(ConfigSchema.IsSection)) Add(KeyNames.ToSnakeCase(section.Name), section.PropertyType);
        foreach (var recipe in session.Catalog.Exports<IQuantizationRecipe, RecipeMetadata>())
        {
            Add($"quantize.linear.{recipe.Metadata.Family}", typeof(Titan.Quantization.Conversion.QuantizeLinearOptions));
            Add($"quantize.linear.{recipe.Metadata.Family}", recipe.Part.OptionsType);
        }

        foreach (var recipe in session.Catalog.Exports<IGroupedRecipe, RecipeMetadata>())
        {
            Add($"quantize.grouped_mm.{recipe.Metadata.Family}", typeof(Titan.Quantization.Conversion.QuantizeGroupedOptions));
            Add($"quantize.grouped_mm.{recipe.Metadata.Family}", recipe.Part.OptionsType);
        }

        foreach (var converter in session.Catalog.Exports<IModelConverter, ConverterMetadata>()) Add(converter.Metadata.Name, converter.Part.OptionsType);
        foreach (var parallelism in session.Catalog.Exports<IParallelism, ParallelismMetadata>()) Add("parallelism", parallelism.Part.OptionsType);
        return found;

        void Add(string section, Type record)
        {
            foreach (var property in record.GetProperties().Where(p => p.CanWrite))
            {
                var key = $"{section}.{KeyNames.ToSnakeCase(property.Name)}";
                if (ConfigSchema.IsSection(property)) Add(key, property.PropertyType);
                else found.Add((key, property));
            }
        }
    }

    private static bool IsExempt(ConfigKey key) => OfTheReader.Contains(key.FullName)
        || key.Rule<NotServedYetAttribute>() is not null || key.Rule<NoEffectAttribute>() is not null
        || key.Rule<System.ComponentModel.DataAnnotations.AllowedValuesAttribute>() is { Values.Length: 1 };

    private static (Module, int) Getter(PropertyInfo property) => (property.Module, property.GetMethod!.MetadataToken);

    /// <summary>Every method that code of the assembly calls; without what records generate for themselves, and without the checks of a job.</summary>
    private static IEnumerable<(Module, int)> Calls(Assembly assembly)
    {
        const BindingFlags all = BindingFlags.Public | BindingFlags.NonPublic | BindingFlags.Static | BindingFlags.Instance | BindingFlags.DeclaredOnly;
        foreach (var type in assembly.GetTypes())
        {
            var outer = type;
            while (outer.DeclaringType is { } declaring && outer != typeof(Two)) outer = declaring;
            if (outer.Namespace == typeof(ConfigKey).Namespace || outer.Namespace == typeof(JobConfig).Namespace) continue;
            foreach (var method in type.GetMethods(all).Cast<MethodBase>().Concat(type.GetConstructors(all)))
            {
                if (method.Name is "PrintMembers" or "Equals" or "GetHashCode" or "ToString" || method.GetMethodBody()?.GetILAsByteArray() is not { } code) continue;
                foreach (var token in Tokens(code))
                {
                    MethodBase? called = null;
                    try
                    {
                        called = method.Module.ResolveMethod(token, type.IsGenericType ? type.GetGenericArguments() : null, method.IsGenericMethod ? method.GetGenericArguments() : null);
                    }
                    catch (Exception e) when (e is ArgumentException or BadImageFormatException or FileNotFoundException or TypeLoadException or MissingMethodException)
                    {
                        // No method, or one of an assembly that is not here: no getter of a key.
                    }

                    if (called is not null) yield return (called.Module, called.MetadataToken);
                }
            }
        }
    }

    /// <summary>The operands of all call instructions.</summary>
    private static IEnumerable<int> Tokens(byte[] code)
    {
        for (var at = 0; at < code.Length;)
        {
            short value = code[at++];
            if (value == 0xfe) value = (short)(0xfe00 | code[at++]);
            var instruction = OpCodes[value];
            if (instruction.OperandType == OperandType.InlineMethod) yield return BitConverter.ToInt32(code, at);
            at += instruction.OperandType switch
            {
                OperandType.InlineNone => 0,
                OperandType.ShortInlineBrTarget or OperandType.ShortInlineI or OperandType.ShortInlineVar => 1,
                OperandType.InlineVar => 2,
                OperandType.InlineI8 or OperandType.InlineR => 8,
                OperandType.InlineSwitch => 4 + 4 * BitConverter.ToInt32(code, at),
                _ => 4,
            };
        }
    }
}
