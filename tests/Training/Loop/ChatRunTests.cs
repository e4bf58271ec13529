using System.Text.Json;
using Titan.Abstractions;
using Titan.Training.Configuration;

namespace Titan.Training.Tests.Loop;

/// <summary>Runs that learn conversations.</summary>
public sealed class ChatRunTests : TinyRuns
{
    [Fact]
    public void Conversations_that_are_cut_are_told_of_in_training_and_in_validation()
    {
        var losses = Run(new CheckpointSection(), "cut", config: Chat("cut", new string('x', 60)));
        Assert.Equal(Steps, losses.Count);
        Assert.Contains(Warnings, w => w.Contains("1 conversation is longer than training.seq_len = 16 and cut at its end", StringComparison.Ordinal));
        Assert.Single(Warnings, w => w.Contains("1 conversation is longer than validation.seq_len = 16 and cut", StringComparison.Ordinal));
    }

    [Fact]
    public void A_data_set_of_conversations_that_are_all_cut_before_the_answer_is_an_error()
    {
        var error = Assert.Throws<TitanException>(() => Run(new CheckpointSection(), "none", config: Chat("none", "y", new string('p', 90))));
        Assert.Equal(ExitCode.Data, error.Code);
        Assert.Contains("no answer that begins within seq_len", error.Message, StringComparison.Ordinal);
    }

    private JobConfig Chat(string name, string answer, string prompt = "p")
    {
        var path = Folder.At($"{name}.jsonl");
        File.WriteAllText(path, string.Concat(Enumerable.Range(0, 3).Select(_ => JsonSerializer.Serialize(new { messages = new object[] { new { role = "user", content = prompt }, new { role = "assistant", content = answer } } }) + "\n")));
        var job = Job(name, new CheckpointSection());
        return job with
        {
            Model = job.Model with { ChatTemplate = "plain" },
            Training = job.Training with { Dataset = "chat", DatasetPath = path },
            Validation = new ValidationSection { Enable = true, Dataset = "chat", DatasetPath = path, SeqLen = 16, LocalBatchSize = 1, Freq = 4 },
        };
    }
}
