using System.Reflection.Metadata;
using System.Reflection.PortableExecutable;

namespace Titan.Host.Plugins;

/// <summary>What an assembly references and exports, read from its metadata: none of its code runs.</summary>
/// <param name="References">Referenced assemblies and their versions.</param>
/// <param name="Classes">Its exported classes: full name, and the export from its attribute, without options.</param>
public sealed record AssemblyInspector(IReadOnlyDictionary<string, Version> References, IReadOnlyList<(string Class, PluginExport Export)> Classes)
{
    private const string ContractNamespace = "Titan.Abstractions";

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

        var exports = new List<(string Class, PluginExport Export)>();
        foreach (var handle in metadata.CustomAttributes)
        {
            var attribute = metadata.GetCustomAttribute(handle);
            if (attribute.Parent.Kind != HandleKind.TypeDefinition || attribute.Constructor.Kind != HandleKind.MemberReference) continue;
            var parent = metadata.GetMemberReference((MemberReferenceHandle)attribute.Constructor).Parent;
            if (parent.Kind != HandleKind.TypeReference) continue;
            var type = metadata.GetTypeReference((TypeReferenceHandle)parent);
            if (metadata.GetString(type.Namespace) != ContractNamespace) continue;
            var kind = metadata.GetString(type.Name) switch
            {
                "ExportRecipeAttribute" => "recipe", "ExportConverterAttribute" => "converter", "ExportParallelismAttribute" => "parallelism", _ => null,
            };
            if (kind is not null) exports.Add((NameOf(metadata, (TypeDefinitionHandle)attribute.Parent), Export(kind, attribute.DecodeValue(new EnumsAreIntegers()))));
        }

        return new AssemblyInspector(references, [.. exports.OrderBy(e => e.Export.Kind, StringComparer.Ordinal).ThenBy(e => e.Export.Name, StringComparer.Ordinal)]);
    }

    private static PluginExport Export(string kind, CustomAttributeValue<string> value)
    {
        var named = value.NamedArguments.ToDictionary(a => a.Name!, a => a.Value);
        var status = named.TryGetValue("Status", out var s) ? System.Convert.ToInt32(s) : 0;
        var name = kind == "parallelism"
            ? AxisName((Abstractions.MeshAxis)System.Convert.ToInt32(value.FixedArguments[0].Value))
            : string.Join('/', value.FixedArguments.Select(a => (string)a.Value!));
        return new PluginExport(kind, name, ((Abstractions.ExportStatus)status).ToString().ToLowerInvariant(), named.GetValueOrDefault("Summary") as string ?? "")
        {
            IsDefault = named.GetValueOrDefault("IsDefault") is true,
        };
    }

    /// <summary>The axis's name; a number where a newer contract has axes that this one has not.</summary>
    private static string AxisName(Abstractions.MeshAxis axis) => Enum.IsDefined(axis) ? Abstractions.MeshAxes.Name(axis) : axis.ToString();

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
