using System.Text.RegularExpressions;
using Mono.Cecil;
using Titan.Training.Data;

namespace Titan.Architecture.Tests;

/// <summary>Folders are rooms: whoever reads one needs those that it uses, and none of them needs it back.</summary>
public sealed partial class FolderTests
{
    private static readonly string Root = Path.GetDirectoryName(SampleAssets.Root)!;

    public static TheoryData<string> Projects => [.. new[] { "src", "plugins" }.SelectMany(f => Directory.EnumerateFiles(Path.Combine(Root, f), "*.csproj", SearchOption.AllDirectories)).Select(p => Path.GetRelativePath(Root, p)).Order()];

    [Theory]
    [MemberData(nameof(Projects))]
    public void Folders_of_a_project_have_no_circles(string project)
    {
        var name = Path.GetFileNameWithoutExtension(project);
        var circles = Circles(FoldersOf(project), Uses(Assembly(project))).ToList();
        Assert.True(circles.Count == 0, string.Join("\n", circles.Select(c => $"{name}: {c.From} uses {c.To} ({c.Examples}), which uses {c.From} again")));
    }

    private static IEnumerable<(string From, string To, string Examples)> Circles(IReadOnlyDictionary<string, string> folders, IEnumerable<(string From, string To)> uses)
    {
        var edges = uses.Where(u => folders.ContainsKey(u.From) && folders.ContainsKey(u.To)).Select(u => (From: folders[u.From], To: folders[u.To], Example: $"{u.From} -> {u.To}"))
            .Where(e => e.From != e.To).GroupBy(e => (e.From, e.To)).ToDictionary(g => g.Key, g => string.Join(", ", g.Select(e => e.Example).Distinct().Order()));
        var reach = edges.Keys.ToLookup(e => e.From, e => e.To);
        foreach (var ((from, to), examples) in edges.OrderBy(e => e.Key.From, StringComparer.Ordinal))
        {
            var seen = new HashSet<string>();
            var left = new Stack<string>([to]);
            while (left.TryPop(out var at))
                foreach (var next in reach[at])
                    if (seen.Add(next)) left.Push(next);
            if (seen.Contains(from)) yield return (from, to, examples);
        }
    }

    /// <summary>The folder of each type, by its name: the first below the project's own.</summary>
    private static Dictionary<string, string> FoldersOf(string project)
    {
        var folder = Path.Combine(Root, Path.GetDirectoryName(project)!);
        var found = new Dictionary<string, string>();
        foreach (var file in Directory.EnumerateFiles(folder, "*.cs", SearchOption.AllDirectories))
        {
            var parts = Path.GetRelativePath(folder, file).Split(Path.DirectorySeparatorChar);
            foreach (Match declared in Declared().Matches(File.ReadAllText(file))) found[declared.Groups[1].Value] = parts.Length > 1 ? parts[0] : "";
        }

        return found;
    }

    private static string Assembly(string project)
    {
        var name = Regex.Match(File.ReadAllText(Path.Combine(Root, project)), "<AssemblyName>(.*)</AssemblyName>").Groups[1].Value;
        return Path.Combine(Root, "artifacts", "bin", Path.GetFileNameWithoutExtension(project), "release", $"{name}.dll");
    }

    /// <summary>Which types of an assembly use which: in signatures, bodies, attributes and bases.</summary>
    private static IEnumerable<(string From, string To)> Uses(string path)
    {
        using var assembly = AssemblyDefinition.ReadAssembly(path);
        foreach (var type in assembly.MainModule.GetTypes())
            foreach (var used in UsedBy(type))
                if (Own(used, assembly.MainModule) is { } own) yield return (Outer(type), own);
    }

    private static IEnumerable<TypeReference?> UsedBy(TypeDefinition type)
    {
        IEnumerable<TypeReference?> found =
        [
            type.BaseType, .. type.Interfaces.Select(i => i.InterfaceType), .. type.Fields.Select(f => f.FieldType), .. type.GenericParameters.SelectMany(p => p.Constraints).Select(c => c.ConstraintType),
            .. Marks(type), .. type.Properties.SelectMany(Marks), .. type.Fields.SelectMany(Marks), .. type.Methods.SelectMany(Marks),
        ];
        foreach (var used in found) yield return used;
        foreach (var method in type.Methods)
        {
            yield return method.ReturnType;
            foreach (var parameter in method.Parameters) yield return parameter.ParameterType;
            if (!method.HasBody) continue;
            foreach (var variable in method.Body.Variables) yield return variable.VariableType;
            foreach (var instruction in method.Body.Instructions)
            {
                if (instruction.Operand is TypeReference operand) yield return operand;
                if (instruction.Operand is MemberReference member and not TypeReference)
                {
                    yield return member.DeclaringType;
                    if (member is GenericInstanceMethod generic)
                        foreach (var argument in generic.GenericArguments) yield return argument;
                }
            }
        }
    }

    private static IEnumerable<TypeReference> Marks(ICustomAttributeProvider marked) => marked.CustomAttributes.Select(a => a.AttributeType);

    /// <summary>The outermost types of the module in a type: of a list, its elements'.</summary>
    private static string? Own(TypeReference? type, ModuleDefinition module)
    {
        while (type is TypeSpecification specification && type is not GenericInstanceType) type = specification.ElementType;
        if (type is GenericInstanceType generic && Own(generic.ElementType, module) is null) return generic.GenericArguments.Select(a => Own(a, module)).FirstOrDefault(a => a is not null);
        return type is null or GenericParameter || type.GetElementType().Scope != module ? null : Outer(type.GetElementType());
    }

    private static string Outer(TypeReference type)
    {
        while (type.DeclaringType is { } outer) type = outer;
        return type.Name.Split('`')[0];
    }

    [GeneratedRegex(@"^(?:\[.*\] ?)?(?:public |internal |file |static |sealed |abstract |partial |readonly |ref |unsafe )*(?:class|record struct|record|struct|interface|enum|delegate [\w<>?\[\]]+) (\w+)", RegexOptions.Multiline)]
    private static partial Regex Declared();
}
