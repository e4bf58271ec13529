using System.Runtime.CompilerServices;
using System.Runtime.Loader;
using Titan.Abstractions;
using Titan.Host.Plugins;
using static TorchSharp.torch;

namespace Titan.Plugins.Tests;

/// <summary>Unloading is best effort: it works for a plugin that nothing refers to any more, and is promised for none.</summary>
public sealed class UnloadTests : IClassFixture<BuiltFixtures>
{
    [Fact]
    public void A_plugin_that_left_nothing_behind_leaves_memory_after_the_catalogue_lets_go()
    {
        var context = UseAndLetGo();
        for (var i = 0; i < 20 && context.IsAlive; i++)
        {
            GC.Collect();
            GC.WaitForPendingFinalizers();
        }

        Assert.False(context.IsAlive);
    }

    // Not inlined: a local of the caller would keep what it refers to.
    [MethodImpl(MethodImplOptions.NoInlining)]
    private static WeakReference UseAndLetGo()
    {
        using var catalog = PluginCatalog.Load(PluginOptions.Default with { Path = [BuiltFixtures.Folder("TrainsAStep")] });
        var converter = catalog.Exports<IModelConverter, ConverterMetadata>().Single(c => c.PluginId == "trainsastep").Part;
        using var scope = NewDisposeScope();
        using var model = new TinyModel();
        converter.Convert(new ModelSlots(model), new NoOptions(), PluginOutcomeTests.EveryFixture.OnCpu);
        model.call(ones(2, 16)).sum().backward();
        BackwardFailure.ThrowIfAny();
        // The host's check stands before the converter; the layers are the plugin's own.
        return new WeakReference(model.modules().Select(m => AssemblyLoadContext.GetLoadContext(m.GetType().Assembly)!).First(c => c != AssemblyLoadContext.Default));
    }
}
