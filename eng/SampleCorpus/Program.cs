using Titan.SampleCorpus;
using Titan.Training.Data;
using Titan.Training.Tokenizers;

// Makes what is shipped under assets/. Run from the repository's root:
//   dotnet run -c Release --project eng/SampleCorpus -- assets
if (args is not [var assets])
{
    Console.Error.WriteLine("usage: Titan.SampleCorpus FOLDER   writes sample/*.jsonl* and tokenizer/*.json there");
    return 2;
}

var training = Path.Combine(assets, "sample", "train.jsonl.gz");
SampleFiles.WriteCorpus(training, SampleFiles.TrainingSeed, SampleFiles.TrainingBytes);
SampleFiles.WriteCorpus(Path.Combine(assets, "sample", "validation.jsonl.gz"), SampleFiles.ValidationSeed, SampleFiles.ValidationBytes);
File.WriteAllText(Path.Combine(assets, "sample", "chat.jsonl"), string.Concat(SampleFiles.Conversations()));
Console.WriteLine("training the tokenizer ...");
var (symbols, merges) = BpeTrainer.Train(TextFiles.Read(training), SampleFiles.Vocabulary - SampleFiles.Special.Length);
SampleFiles.WriteTokenizer(Path.Combine(assets, "tokenizer"), symbols, merges);
Console.WriteLine($"{symbols.Count + SampleFiles.Special.Length} entries, {merges.Count} merges");
return 0;
