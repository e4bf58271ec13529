using System.Reflection;

/// <summary>The build asks a plugin for its options. Plugins that are to do harm do it later: else there would be none to test.</summary>
internal static class BuildTool
{
    public static bool IsRunning => Assembly.GetEntryAssembly()?.GetName().Name == "Titan.PluginManifest";
}
