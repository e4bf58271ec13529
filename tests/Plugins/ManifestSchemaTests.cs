using System.Reflection;
using System.Text.Json;
using System.Text.Json.Serialization;
using System.Text.RegularExpressions;
using Titan.Host.Configuration;
using Titan.Host.Plugins;

namespace Titan.Plugins.Tests;

/// <summary>docs/titan-plugin.schema.json says what the host reads and what the build writes.</summary>
public sealed class ManifestSchemaTests : IClassFixture<BuiltFixtures>
{
    private static readonly JsonElement Schema = JsonDocument.Parse(File.ReadAllText(Path.Combine(StagedPlugin.Repository, "docs", "titan-plugin.schema.json"))).RootElement;

    [Fact]
    public void The_schema_and_the_records_have_the_same_keys()
    {
        Same(Schema, typeof(PluginManifest));
        Same(Schema.GetProperty("properties").GetProperty("exports").GetProperty("items"), typeof(PluginExport));
        Same(Schema.GetProperty("properties").GetProperty("exports").GetProperty("items").GetProperty("properties").GetProperty("options").GetProperty("items"), typeof(PluginOption));
        Same(Schema.GetProperty("properties").GetProperty("files").GetProperty("items"), typeof(PluginFile));

        static void Same(JsonElement schema, Type record)
        {
            var properties = record.GetProperties(BindingFlags.Public | BindingFlags.Instance).Where(p => p.GetCustomAttribute<JsonIgnoreAttribute>() is null).ToArray();
            Assert.Equal(properties.Select(Key).Order(), Keys(schema.GetProperty("properties")).Order());
            Assert.False(schema.GetProperty("additionalProperties").GetBoolean());
            var positional = record.GetConstructors().SelectMany(c => c.GetParameters()).Select(p => p.Name).ToHashSet();
            var required = properties.Where(p => p.CustomAttributes.Any(a => a.AttributeType.Name == "RequiredMemberAttribute") || positional.Contains(p.Name)).Select(Key);
            // The build writes every key; the host does without those that have a default.
            Assert.Empty(required.Except(schema.GetProperty("required").EnumerateArray().Select(r => r.GetString()!)));
        }

        static string Key(PropertyInfo property) => JsonNamingPolicy.CamelCase.ConvertName(property.Name);
    }

    [Fact]
    public void Every_staged_manifest_has_exactly_the_schemas_keys_and_fits_it()
    {
        string[] stages = [Path.Combine(StagedPlugin.Repository, "artifacts", "plugins"), BuiltFixtures.Plugins];
        var manifests = stages.SelectMany(s => Directory.EnumerateFiles(s, PluginManifest.FileName, SearchOption.AllDirectories)).ToList();
        Assert.True(manifests.Count > 20);
        foreach (var path in manifests)
        {
            using var manifest = JsonDocument.Parse(File.ReadAllText(path));
            Assert.Equal(Keys(Schema.GetProperty("properties")), Keys(manifest.RootElement));
            Assert.Empty(Errors(Schema, manifest.RootElement, "$"));
        }
    }

    [Theory]
    [InlineData("\"id\": \"trainsastep\"", "\"id\": \"Trains A Step\"")]
    [InlineData("\"id\": \"trainsastep\"", "\"id\": null")]
    [InlineData("\"contract\": \">=0.2 <0.3\"", "\"contract\": \">=0.2\"")]
    [InlineData("\"kind\": \"converter\",", "")]
    [InlineData("\"rids\": []", "\"rids\": [ 5 ]")]
    [InlineData("\"schema\": 2", "\"schema\": 2, \"unknown\": true")]
    [InlineData("\"sha256\": \"", "\"sha256\": \"x")]
    [InlineData("\"isDefault\": false", "\"isDefault\": 0")]
    [InlineData("\"options\": []", "\"options\": [ { \"key\": \"a\" } ]")]
    [InlineData("\"options\": []", "\"options\": [ { \"key\": \"a\", \"type\": \"date\", \"default\": null, \"description\": \"\", \"optional\": true, \"choices\": [], \"denied\": [], \"minimum\": null, \"maximum\": null, \"minimumIsExclusive\": false, \"maximumIsExclusive\": false } ]")]
    public void What_the_schema_refuses_the_host_refuses_too(string text, string wrong)
    {
        var parent = Directory.CreateTempSubdirectory("titan-schema").FullName;
        try
        {
            var folder = BuiltFixtures.Changed("TrainsAStep", parent, _ => { });
            var path = Path.Combine(folder, PluginManifest.FileName);
            File.WriteAllText(path, File.ReadAllText(path).Replace(text, wrong, StringComparison.Ordinal));
            using var manifest = JsonDocument.Parse(File.ReadAllText(path));
            Assert.NotEmpty(Errors(Schema, manifest.RootElement, "$"));
            Assert.NotEqual(PluginStatus.Active, PluginInspection.Inspect(folder, PluginCatalog.Contract).Status);
        }
        finally
        {
            Directory.Delete(parent, true);
        }
    }

    private static IEnumerable<string> Keys(JsonElement element) => element.EnumerateObject().Select(p => p.Name);

    /// <summary>The keywords of JSON schema that this schema uses.</summary>
    private static IEnumerable<string> Errors(JsonElement schema, JsonElement value, string at)
    {
        if (schema.TryGetProperty("const", out var constant) && constant.GetRawText() != value.GetRawText()) yield return $"{at}: expected {constant}";
        if (schema.TryGetProperty("enum", out var choices) && choices.EnumerateArray().All(c => c.GetRawText() != value.GetRawText())) yield return $"{at}: expected one of {choices}";
        if (schema.TryGetProperty("type", out var type))
        {
            var kinds = (type.ValueKind == JsonValueKind.Array ? type.EnumerateArray().Select(t => t.GetString()) : [type.GetString()]).SelectMany(t => t switch
            {
                "object" => [JsonValueKind.Object], "array" => [JsonValueKind.Array], "string" => [JsonValueKind.String], "null" => [JsonValueKind.Null],
                "boolean" => [JsonValueKind.True, JsonValueKind.False], "number" => new[] { JsonValueKind.Number }, _ => throw new NotSupportedException(t),
            });
            if (!kinds.Contains(value.ValueKind))
            {
                yield return $"{at}: expected {type}";
                yield break;
            }
        }

        if (schema.TryGetProperty("pattern", out var pattern) && !Regex.IsMatch(value.GetString()!, pattern.GetString()!)) yield return $"{at}: expected {pattern}";
        if (schema.TryGetProperty("minItems", out var least) && value.GetArrayLength() < least.GetInt32()) yield return $"{at}: expected {least} items";
        if (schema.TryGetProperty("required", out var required))
            foreach (var key in required.EnumerateArray().Where(r => !value.TryGetProperty(r.GetString()!, out var _))) yield return $"{at}: {key} is missing";
        if (schema.TryGetProperty("properties", out var properties))
        {
            foreach (var member in value.EnumerateObject())
            {
                if (!properties.TryGetProperty(member.Name, out var inner)) yield return $"{at}: {member.Name} is unknown";
                else foreach (var error in Errors(inner, member.Value, $"{at}.{member.Name}")) yield return error;
            }
        }

        if (schema.TryGetProperty("items", out var items))
            foreach (var item in value.EnumerateArray())
                foreach (var error in Errors(items, item, at + "[]")) yield return error;
    }
}
