using System.Reflection.Metadata;
using System.Reflection.PortableExecutable;

namespace Titan.Host.Plugins;

/// <summary>
/// What an assembly references and exports, read from its metadata: none of its code runs. An attribute of the contract by the name of <c>ExportThingAttribute</c> exports a <c>thing</c>; its arguments, with slashes
/// between them, are the export's name.
/// </summary>
/// <param name="References">Referenced assemblies and their versions.</param>
/// <param name="Classes">Its exported classes: full name, full name of the attribute, and what the attribute says.</param>
public sealed record AssemblyInspector(IReadOnlyDictionary<string, Version> References, IReadOnlyList<(string Class, string Attribute, PluginExport Export)> Classes)
{
    private const string ContractNamespace = "Titan.Abstractions", ModelsNamespace = "Titan.Models", Prefix = "Export", Suffix = "Attribute";

    /// <summary>Its exports, from its attributes.</summary>
    public IReadOnlyList<PluginExport> Exports => [.. Classes.Select(c => c.Export)];

    /// <summary>Reads an assembly.</summary>
    /// <exception cref="BadImageFormatException">When the file is not a managed assembly.</exception>
    public static AssemblyInspector Read(string path)
    {
        using var stream = File.OpenRead(path);
        using var image = new PEReader(stream);
        if (!image.HasMetadata) throw new BadImageFormatException("it is not a managed assembly");
        var metadata = image.GetMetadataReader();
        var references = new Dictionary<string, Version>(StringComparer.OrdinalIgnoreCase);
        foreach (var handle in metadata.AssemblyReferences)
        {
            var reference = metadata.GetAssemblyReference(handle);
            references[metadata.GetString(reference.Name)] = reference.Version;
        }

        var exports = new List<(string Class, string Attribute, PluginExport Export)>();
        foreach (var handle in metadata.CustomAttributes)
        {
            var attribute = metadata.GetCustomAttribute(handle);
            if (attribute.Parent.Kind != HandleKind.TypeDefinition || attribute.Constructor.Kind != HandleKind.MemberReference) continue;
            var parent = metadata.GetMemberReference((MemberReferenceHandle)attribute.Constructor).Parent;
            if (parent.Kind != HandleKind.TypeReference) continue;
            var type = metadata.GetTypeReference((TypeReferenceHandle)parent);
            var contract = metadata.GetString(type.Namespace);
            if (contract is not (ContractNamespace or ModelsNamespace)) continue;
            var name = metadata.GetString(type.Name);
            if (!name.StartsWith(Prefix, StringComparison.Ordinal) || !name.EndsWith(Suffix, StringComparison.Ordinal)) continue;
            var export = Export(name[Prefix.Length..^Suffix.Length].ToLowerInvariant(), attribute.DecodeValue(new EnumsAreIntegers()));
            exports.Add((NameOf(metadata, (TypeDefinitionHandle)attribute.Parent), $"{contract}.{name}", export));
        }

        return new AssemblyInspector(references, [.. exports.OrderBy(e => e.Export.Kind, StringComparer.Ordinal).ThenBy(e => e.Export.Name, StringComparer.Ordinal)]);
    }

    private static PluginExport Export(string kind, CustomAttributeValue<string> value)
    {
        var named = value.NamedArguments.ToDictionary(a => a.Name!, a => a.Value);
        var status = named.TryGetValue("Status", out var s) ? System.Convert.ToInt32(s) : 0;
        return new PluginExport(
            kind, string.Join('/', value.FixedArguments.Select(Text)), ((Abstractions.ExportStatus)status).ToString().ToLowerInvariant(), named.GetValueOrDefault("Summary") as string ?? "")
        {
            IsDefault = named.GetValueOrDefault("IsDefault") is true,
        };
    }

    /// <summary>An argument as a name has it: an axis by its name, another enum of the contract's by the name of its value; a number where a newer contract has values that this one has not.</summary>
    private static string Text(CustomAttributeTypedArgument<string> argument)
    {
        if (typeof(Abstractions.ExportStatus).Assembly.GetType($"{ContractNamespace}.{argument.Type}") is not { IsEnum: true } type) return $"{argument.Value}";
        return Enum.ToObject(type, argument.Value!) is Abstractions.MeshAxis axis && Enum.IsDefined(axis) ? Abstractions.MeshAxes.Name(axis) : Enum.ToObject(type, argument.Value!).ToString()!;
    }

    /// <summary>As reflection writes it: namespace, and a plus before the name of a nested class.</summary>
    private static string NameOf(MetadataReader metadata, TypeDefinitionHandle handle)
    {
        var type = metadata.GetTypeDefinition(handle);
        var name = metadata.GetString(type.Name);
        if (!type.GetDeclaringType().IsNil) return $"{NameOf(metadata, type.GetDeclaringType())}+{name}";
        return type.Namespace.IsNil ? name : $"{metadata.GetString(type.Namespace)}.{name}";
    }

    /// <summary>The attributes' arguments are strings, booleans and enums with the default underlying type.</summary>
    private sealed class EnumsAreIntegers : ICustomAttributeTypeProvider<string>
    {
        public string GetPrimitiveType(PrimitiveTypeCode typeCode) => typeCode.ToString();

        public string GetSystemType() => "System.Type";

        public string GetSZArrayType(string elementType) => elementType + "[]";

        public string GetTypeFromDefinition(MetadataReader reader, TypeDefinitionHandle handle, byte rawTypeKind) => "definition";

        public string GetTypeFromReference(MetadataReader reader, TypeReferenceHandle handle, byte rawTypeKind) =>
            reader.GetString(reader.GetTypeReference(handle).Name);

        public string GetTypeFromSerializedName(string name) => name;

        public PrimitiveTypeCode GetUnderlyingEnumType(string type) => PrimitiveTypeCode.Int32;

        public bool IsSystemType(string type) => type == "System.Type";
    }
}
