using System.Composition;
using System.Composition.Hosting;
using Titan.Host.Configuration;

namespace Titan.Host.Plugins;

/// <summary>One kind of thing that a plugin can export: a row of <see cref="ExportKinds"/>. Its options are what the property <c>OptionsType</c> of its interface says; without one it has none.</summary>
/// <param name="Name">As manifests and <c>plugin list</c> have it, and as <see cref="AssemblyInspector"/> reads it from the attribute's name.</param>
/// <param name="Attribute">The contract's attribute.</param>
/// <param name="Interface">What an exported class implements.</param>
/// <param name="Metadata">What the attribute says, as a class.</param>
public abstract record ExportKind(string Name, Type Attribute, Type Interface, Type Metadata)
{
    /// <summary>Whether an export may bear a name.</summary>
    public required Func<string, bool> IsName { get; init; }

    /// <summary>What a name that is none lacks, after "which".</summary>
    public required string NameFault { get; init; }

    /// <summary>How names may not begin, and whose these are; null for any.</summary>
    public (string Prefix, string Owner)? Reserved { get; init; }

    /// <summary>The config section that holds the options of the export with a name; null where the kind has no options.</summary>
    public Func<string, string?> Section { get; init; } = _ => null;

    /// <summary>Whether that section is one of the host's; else no export may have a section that the host has.</summary>
    public bool IsSectionOfHost { get; init; }

    /// <summary>Whose options they are, where several exports share a section and a job chooses one; null where each has its own.</summary>
    public Func<string, string?> Owner { get; init; } = _ => null;

    /// <summary>What owners are, for people; null where it does not matter to them.</summary>
    public string? OwnerKind { get; init; }

    /// <summary>The options that each such section has whatever is exported.</summary>
    public IReadOnlyList<PluginOption> Common { get; init; } = [];

    /// <summary>Whether <c>model.converters</c> names the section to use the export.</summary>
    public bool IsConverter { get; init; }

    /// <summary>The attribute as an author writes it.</summary>
    public string Mark => $"[{Attribute.Name[..^"Attribute".Length]}]";

    /// <summary>Constructs what a plugin exports of this kind.</summary>
    internal abstract IReadOnlyList<Exported> Compose(string pluginId, CompositionHost container);
}

/// <summary>A kind with its types.</summary>
/// <typeparam name="TPart">What an exported class implements.</typeparam>
/// <typeparam name="TMetadata">What the attribute says, as a class.</typeparam>
/// <param name="Name">As manifests have it.</param>
/// <param name="Attribute">The contract's attribute.</param>
/// <param name="NameOf">The export's name, from its metadata: the attribute's arguments with slashes between them.</param>
public sealed record ExportKind<TPart, TMetadata>(string Name, Type Attribute, Func<TMetadata, string> NameOf) : ExportKind(Name, Attribute, typeof(TPart), typeof(TMetadata)) where TPart : class
{
    /// <summary>The part as the host uses it, given the plugin's id and the export's name: what it returns is checked.</summary>
    public Func<string, string, TPart, TPart> Check { get; init; } = (_, _, part) => part;

    internal override IReadOnlyList<Exported> Compose(string pluginId, CompositionHost container)
    {
        var imports = new Imports();
        container.SatisfyImports(imports);
        return [.. imports.Factories.Select(f => new Exported<TPart, TMetadata>(pluginId, f.Metadata, f.CreateExport().Value))];
    }

    private sealed class Imports
    {
        [ImportMany]
        public IEnumerable<ExportFactory<TPart, TMetadata>> Factories { get; set; } = [];
    }
}
