namespace Titan.Host.Plugins;

/// <summary>What became of a plugin folder.</summary>
public enum PluginStatus
{
    /// <summary>Loaded, or ready to be.</summary>
    Active,

    /// <summary>Switched off by the configuration, or by a name that another plugin claims too.</summary>
    Disabled,

    /// <summary>Built for a contract that this host does not have.</summary>
    Incompatible,

    /// <summary>Not for this platform.</summary>
    Unsupported,

    /// <summary>Not on the list of allowed plugins.</summary>
    Untrusted,

    /// <summary>A file differs from the manifest.</summary>
    Modified,

    /// <summary>Broken: no manifest, no code, or code that fails while it loads.</summary>
    Malfunctioned,

    /// <summary>A newer version of the same plugin is there.</summary>
    Superseded,
}
