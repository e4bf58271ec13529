using System.Globalization;
using Titan.Abstractions;
using Titan.NumericsFigure;
using Titan.Plugins.Float8Rowwise;
using Titan.Plugins.Float8Tensorwise;
using Titan.Plugins.MXFP8;

// Draws docs/images/error_by_outlier.png from the engine's own numbers and prints them.
//   dotnet run --project eng/NumericsFigure -c Release [-- FILE]
var path = args.Length > 0 ? args[0] : Path.Combine("docs", "images", "error_by_outlier.png");
(string Name, IQuantizationRecipe Recipe)[] recipes =
[
    ("tensorwise", new TensorwiseRecipe()), ("rowwise, rowwise_with_gw_hp", new RowwiseRecipe()), ("mxfp8_cublas (FLOOR)", new CublasRecipe()), ("mxfp8_rceil (RCEIL)", new RceilRecipe()),
];
var byRow = Measure(column: false);
var byColumn = Measure(column: true);
Print("bad row", byRow);
Print("bad column", byColumn);
Directory.CreateDirectory(Path.GetDirectoryName(Path.GetFullPath(path))!);
Figure.Draw(path, [.. recipes.Select(r => r.Name)], byRow, byColumn);
Console.WriteLine($"{path}: {new FileInfo(path).Length / 1024} KB");

double[][] Measure(bool column) => [.. recipes.Select(r => OutlierError.MedianSqnr(r.Recipe.Describe(Activator.CreateInstance(r.Recipe.OptionsType)!), column))];

void Print(string title, double[][] lines)
{
    Console.WriteLine(title.PadRight(30) + string.Concat(OutlierError.Factors.Select(f => f.ToString("0.#E+0", CultureInfo.InvariantCulture).PadLeft(8))));
    foreach (var ((name, _), line) in recipes.Zip(lines))
        Console.WriteLine(name.PadRight(30) + string.Concat(line.Select(v => v.ToString("F1", CultureInfo.InvariantCulture).PadLeft(8))));
}
