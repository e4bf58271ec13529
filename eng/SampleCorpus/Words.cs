namespace Titan.SampleCorpus;

/// <summary>The words that the documents are made of.</summary>
internal static class Words
{
    public static readonly string[] Women = Split("Ada Berta Clara Dora Elena Flora Greta Hanna Ida Julia Karin Lena Mara Nora Olga Paula Rosa Sara Tilda Vera Wanda Yara Zoe Amina Bianca");
    public static readonly string[] Men = Split("Adam Bruno Carl David Emil Felix Gustav Hugo Ivan Jonas Kaspar Leo Martin Nils Oskar Peter Ruben Simon Theo Urs Viktor Walter Xaver Yusuf Anton");
    public static readonly string[] Places = Combine("Ar Birk Cor Dun East Fern Grey Holm Iron Kes Low Mill North Oak Pine Red Stone Thorn West Wind", "den bridge field ford ham haven hill marsh moor port stead ton vale wick wood");
    public static readonly string[] Surnames = Combine("Ash Black Brook Cole Fair Frost Gold Green Hart Lake Light March Moor Moss Night Rain Ridge Snow Sparrow Summer Swan Winter", "berg croft dale er by land ley man smith son well worth");
    public static readonly string[] Jobs = Split("baker carpenter teacher doctor farmer fisher gardener librarian mason miller nurse painter pilot potter sailor smith tailor weaver clockmaker beekeeper");
    public static readonly string[] Animals = Split("dog cat horse goat hen goose rabbit donkey parrot sheep owl fox hedgehog pony duck");
    public static readonly string[] Colours = Split("red blue green yellow white black brown grey golden silver orange purple");
    public static readonly string[] Things = Split("lamp basket kettle ladder mirror chair table blanket clock coat hat key letter map book box bell boat cart wheel rope bucket spoon bottle candle drum flute hammer needle saw");
    public static readonly string[] Foods = Split("bread soup cheese apples pears plums honey butter beans rice carrots onions potatoes eggs mushrooms cabbage noodles lentils tomatoes walnuts");
    public static readonly string[] Spices = Split("salt pepper thyme basil cinnamon ginger parsley garlic mint rosemary");
    public static readonly string[] Qualities = Split("old small heavy quiet bright broken careful cheerful clean clever cold gentle happy hungry kind lazy lonely patient proud quick sleepy strange strong tall tired warm wise young");
    public static readonly string[] Weathers = Split("rain snow fog wind sunshine thunder hail drizzle frost cloud");
    public static readonly string[] Days = Split("Monday Tuesday Wednesday Thursday Friday Saturday Sunday");
    public static readonly string[] Months = Split("January February March April May June July August September October November December");
    public static readonly string[] Rooms = Split("kitchen garden cellar attic workshop stable yard hall library barn");
    public static readonly string[] Feelings = Split("glad worried surprised calm angry sad curious grateful nervous content");
    public static readonly string[] Numbers = Split("zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen twenty");

    /// <summary>Present and past.</summary>
    public static readonly (string Present, string Past)[] Actions =
    [
        ("mends", "mended"), ("paints", "painted"), ("sells", "sold"), ("carries", "carried"), ("cleans", "cleaned"), ("finds", "found"), ("hides", "hid"),
        ("loses", "lost"), ("buys", "bought"), ("makes", "made"), ("needs", "needed"), ("opens", "opened"), ("borrows", "borrowed"), ("wraps", "wrapped"), ("admires", "admired"),
    ];

    /// <summary>Every first part with every second part: names enough that a reader must remember them, not guess them.</summary>
    private static string[] Combine(string first, string second) => [.. Split(first).SelectMany(a => Split(second).Select(b => a + b))];

    private static string[] Split(string words) => words.Split(' ');
}
