using Titan.Host.Configuration;
using Titan.Host.Jobs;
using Titan.Training.Data;

namespace Titan.Host.Tests;

public sealed class ConfigurationDocsTests
{
    [Fact]
    public void The_page_about_configuration_is_what_the_code_says()
    {
        var path = Path.Combine(Path.GetDirectoryName(SampleAssets.Root)!, "docs", "configuration.md");
        var current = ConfigDocs.Markdown(JobSession.Open([]).Schema);
        if (Environment.GetEnvironmentVariable("TITAN_UPDATE_DOCS") == "1") File.WriteAllText(path, current);
        Assert.True(File.Exists(path) && File.ReadAllText(path) == current, "docs/configuration.md is not current; run TITAN_UPDATE_DOCS=1 ./run_tests.sh and commit it");
    }
}
